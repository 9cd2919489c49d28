"""Ray's reports of lost processes: a line each on the terminal, none for those of a stop; the whole goes to a file."""

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray._private import worker

LOG = "worker-reports.log"  # in the folder of the session's logs
LONGEST = 160  # characters of a report that is not known here
KNOWN = (
    (re.compile(r"A worker died or was killed"), "A process of the server{pid} died and is being replaced"),
    (
        re.compile(r"\d+ worker\(s\) were killed due to the node running low on memory"),
        "The machine ran low on memory, so that Ray ended a process of the server, which is being replaced",
    ),
    (re.compile(r"The node with node id: .* has been marked dead"), "A node was lost; its replicas are being replaced"),
)
# Reports of an ordinary stop: Serve's controller ends itself as the last step of its own shutdown.
EXPECTED = re.compile(r"Task ServeController\.graceful_shutdown failed")
PID = re.compile(r"Worker PID: (\d+)")


class Reports:
    """Takes the place of Ray's function that prints; lines that are no report, such as logs, are printed by that."""

    def __init__(self, log: Path, say: Callable[[str], None], original: Callable[..., None]) -> None:
        self._log, self._say, self._original = log, say, original
        self._lock = threading.Lock()

    def __call__(self, data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
        """`data`: `lines`, and `pid`, which is 'raylet' for a report of Ray."""
        if data.get("pid") != "raylet":
            self._original(data, ignore_prefix=ignore_prefix)
            return
        for report in data.get("lines", ()):
            try:
                with self._lock, self._log.open("a") as file:
                    file.write(f"{report.rstrip()}\n\n")
                details = f"details: {self._log}"
            except OSError as error:
                details = f"its report cannot be written to {self._log} ({error.strerror})"
            if not EXPECTED.match(report):
                self._say(f"{summary(report)} ({details}).")


def summary(report: str) -> str:
    """One plain line for a report of any length, without its full stop."""
    pid = PID.search(report)
    for pattern, sentence in KNOWN:
        if pattern.match(report):
            return sentence.format(pid=f" (pid {pid[1]})" if pid else "")
    words = " ".join(report.split()).rstrip(".")
    return f"Ray: {words if len(words) <= LONGEST else words[: LONGEST - 3].rstrip() + '...'}"


def shorten_reports(logs: Path, say: Callable[[str], None]) -> None:
    """Have Ray's reports to this driver printed by `say`, one line each. `logs`: folder of the session's logs."""
    module = vars(worker)
    module["print_to_stdstream"] = Reports(logs / LOG, say, module["print_to_stdstream"])
