"""Recorder of exchanges: of one process, or of all Locust workers at the master."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import astuple

from loadtest.results.exchange import Exchange

KEPT = 200_000  # requests; in longer runs the oldest are dropped


class Recorder:
    """Exchanges and the number of open requests. Times are `time.perf_counter()` seconds of this process."""

    def __init__(self) -> None:
        self.reporting = False  # True in a worker process
        self.reset()

    def reset(self) -> None:
        """Start an empty recording now."""
        self.started = time.perf_counter()
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT)
        self.unsent: list[Exchange] = []  # of a worker, since its last report
        self.open = 0
        self.most_open = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def opened(self) -> None:
        """Count a request that was sent."""
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    def closed(self, exchange: Exchange) -> None:
        """Record a request that ended."""
        self.open -= 1
        self.exchanges.append(exchange)
        if self.reporting:
            self.unsent.append(exchange)

    def pack(self) -> list[list[object]]:
        """Return a worker's new exchanges as plain lists, for its next report."""
        packed = [list(astuple(exchange)) for exchange in self.unsent]
        self.unsent.clear()
        return packed

    def unpack(self, packed: Iterable[list[object]]) -> None:
        """Record the exchanges of a worker's report."""
        for values in packed:
            exchange = Exchange(*values)  # type: ignore[arg-type]
            self.exchanges.append(exchange)
