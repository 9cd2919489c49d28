"""The terminal of a server that `deployments.start` runs, whose own output goes to a log file.

`deployments.start` gives the server a file descriptor of its terminal. A server without one writes to stderr.
"""

import os
import sys
from contextlib import suppress
from typing import TextIO

VARIABLE = "MOA_TERMINAL_FD"
_terminal: TextIO | None = None


def claim_terminal() -> None:
    """Take the descriptor out of the environment, which worker processes inherit, and they have no such descriptor."""
    global _terminal
    if (number := os.environ.pop(VARIABLE, None)) is not None:
        with suppress(OSError, ValueError):  # it is none of this process's
            _terminal = os.fdopen(int(number), "w", encoding="utf-8", errors="replace")


def say(line: str) -> None:
    """Print a line on the terminal; without effect if that is closed."""
    with suppress(OSError):
        print(line, file=_terminal or sys.stderr, flush=True)
