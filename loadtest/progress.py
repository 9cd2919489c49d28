"""Progress on one line of a terminal; where output goes to a file, a line now and then."""

import sys
import time


class ProgressLine:
    EVERY_S = 10.0  # between lines in a file

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.last = 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        print(f"\r\033[K{text}" if self.live else text, file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """What is going on; the next one takes its place."""
        now = time.monotonic()
        if self.live:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif now - self.last >= self.EVERY_S:
            self.last = now
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
