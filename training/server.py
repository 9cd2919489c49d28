"""A server of this project, started for the generation of one iteration and stopped after it."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.watch.child import answers
from deployments.weights_source import ROOT
from serving.ports import LOOPBACK, free_port
from training.errors import TrainingError

PR_SET_PDEATHSIG = 1  # of Linux' prctl
START_S = 3600.0  # large weights are read from a slow disk or fetched
STOP_S = 120.0
POLL_S = 1.0
LAST_LINES = 5


@contextmanager
def served(profile: str, log: Path) -> Iterator[str]:
    """Start `python -m deployments.start` with `profile` on a free port; yields its URL once it is ready.

    Its output is in `log`. It is stopped at the end, also after an error, and on Linux if this process is killed.

    Raises:
        TrainingError: it ended before it was ready, or was not ready within an hour.
    """
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments.start", f"profile={profile}", f"port={port}", f"host={LOOPBACK}"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this command alone, which then stops it
            preexec_fn=_end_with_parent,
        )
    try:
        _wait(process, url, log)
        yield url
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST_LINES:]
            raise TrainingError(f"The server did not start; the end of '{log}': {' / '.join(last)}")
        if answers(f"{url}/ready"):
            return
        time.sleep(POLL_S)
    raise TrainingError(f"The server was not ready within {START_S:.0f} s; see '{log}'.")
