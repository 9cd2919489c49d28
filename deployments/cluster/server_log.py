"""Log file of a server that was started from a terminal: everything that Ray, vLLM and their libraries print.

Errors in it are also shown on the terminal, without the warnings and the progress around them.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

KEPT = 10  # log files of earlier starts
POLL_S = 0.2
SHOWN_LINES = 25  # of one error
LAST_LINES = 15  # of the log of a server that ended without an error in it
COLOR = re.compile(r"\x1b\[[0-9;]*m")
# Beginnings of entries: Ray's and Python's logging, Ray Serve's, vLLM's, C++ ("[2026-11-29 17:53:20,650 E 1 1]"), and
# our own as JSON (`serving.log_format`).
ENTRY = re.compile(
    r"(?:\([^)]*pid=\d+[^)]*\) )?"
    r"(?:\d{4}-\d\d-\d\d [\d:,.]+\s+(?P<ray>[A-Z]+) |(?P<serve>[A-Z]+) \d[\d-]+ [\d:,.]+ "
    r"|\[\d{4}-\d\d-\d\d [\d:,.]+ [A-Z] "
    r'|\{"time":"[^"]+","level":"(?P<own>[a-z]+)",)'
)
ERRORS = ("ERROR", "CRITICAL", "FATAL")
TRACEBACK = "Traceback (most recent call last):"
SENTENCE = re.compile(r"Error: |Usage: ")  # of click, and of `deployments.moa_app`


def create_log(folder: Path) -> Path:
    """Create an empty log file in a folder of this user in `folder`, and remove the oldest ones there.

    Raises:
        OSError: the folder cannot be made or is another user's.
    """
    home = folder / f"moa-logs-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        raise PermissionError(1, "another user has made it", str(home))
    for old in sorted(home.glob("server-*.log"))[: -KEPT + 1]:
        old.unlink(missing_ok=True)
    path = home / f"server-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    path.touch(mode=0o600, exist_ok=False)
    return path


class Errors:
    """Finds the errors among the lines of a log."""

    def __init__(self) -> None:
        self._shown = 0  # lines of the current error; 0: the current entry is none
        self._traceback = False

    def of(self, line: str) -> bool:
        """True if the line, in its order, belongs to an error."""
        line = COLOR.sub("", line)
        entry = ENTRY.match(line)
        begins = line.startswith(TRACEBACK) or SENTENCE.match(line) is not None
        if entry is not None or begins:
            level = entry and (entry["ray"] or entry["serve"] or (entry["own"] or "").upper())
            self._shown = int(begins or level in ERRORS)
            self._traceback = line.startswith(TRACEBACK)
            return self._shown > 0
        if self._traceback and line and not line.startswith((" ", "\t")):
            self._traceback = False
            belongs, self._shown = self._shown > 0, 0  # its last line, with the exception
            return belongs
        if self._shown and line.strip() == "" and not self._traceback:
            self._shown = 0
        if self._shown:
            self._shown += 1
        return 0 < self._shown <= SHOWN_LINES


class LogReader:
    """Reads a growing log and passes the lines of errors on, until it is closed."""

    def __init__(self, path: Path, show: Callable[[str], None]) -> None:
        """`show`: gets each line of an error, without its end."""
        self._path, self._show = path, show
        self._errors, self._found, self._rest = Errors(), 0, b""
        self._file: BinaryIO = path.open("rb")
        self._quiet, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="server-log")
        self._thread.start()

    @property
    def found(self) -> int:
        """Number of lines shown so far."""
        return self._found

    def silence(self) -> None:
        """Show nothing more: libraries that are stopped report what they lost."""
        self._quiet.set()

    def close(self) -> None:
        """Show what is left, and end."""
        self._closed.set()
        self._thread.join()
        self._file.close()

    def last_lines(self) -> list[str]:
        """Last lines of the log."""
        lines = [COLOR.sub("", line) for line in self._path.read_text("utf-8", errors="replace").splitlines()]
        return [line for line in lines if line.strip()][-LAST_LINES:]

    def _follow(self) -> None:
        waiting: list[str] = []
        while True:
            ends = self._closed.is_set()  # asked before the last lines are read
            found = [COLOR.sub("", line) for line in self._lines() if self._errors.of(line)]
            # Lines wait for one poll: Ctrl-C may reach the server before this process, which silences its complaints.
            for line in [*waiting, *found] if ends else waiting:
                if not self._quiet.is_set():
                    self._found += 1
                    self._show(line)
            if ends:
                return
            waiting = found
            self._closed.wait(POLL_S)

    def _lines(self) -> Iterator[str]:
        """Whole lines that have arrived."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        yield from (line.decode("utf-8", errors="replace").rstrip("\r") for line in lines)
