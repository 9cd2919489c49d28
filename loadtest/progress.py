"""Progress display: one line that is overwritten on a terminal, a line every 10 s in a file."""

import sys
import time


class ProgressLine:
    """Progress display on stderr."""

    EVERY_S = 10.0  # between lines in a file

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.last = 0.0

    def say(self, text: str) -> None:
        """Print a permanent line."""
        print(f"\r\033[K{text}" if self.live else text, file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """Print a temporary line; the next one replaces it."""
        now = time.monotonic()
        if self.live:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif now - self.last >= self.EVERY_S:
            self.last = now
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Erase the temporary line."""
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
