"""Where exchanges are gathered: in one process, or from Locust's workers at its master."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import astuple

from loadtest.results.exchange import Exchange

KEPT = 200_000  # requests; a page that is left open for days forgets the oldest


class Recorder:
    """Times are `time.perf_counter()` seconds of this process."""

    def __init__(self) -> None:
        self.reporting = False  # whether this process is a worker
        self.reset()

    def reset(self) -> None:
        self.started = time.perf_counter()
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT)
        self.unsent: list[Exchange] = []  # a worker's, since its last report
        self.open = 0
        self.most_open = 0

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started

    def opened(self) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    def closed(self, exchange: Exchange) -> None:
        self.open -= 1
        self.exchanges.append(exchange)
        if self.reporting:
            self.unsent.append(exchange)

    def pack(self) -> list[list[object]]:
        """What a worker sends: everything new, as plain lists."""
        packed = [list(astuple(exchange)) for exchange in self.unsent]
        self.unsent.clear()
        return packed

    def unpack(self, packed: Iterable[list[object]]) -> None:
        for values in packed:
            exchange = Exchange(*values)  # type: ignore[arg-type]
            self.exchanges.append(exchange)
