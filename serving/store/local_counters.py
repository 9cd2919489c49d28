"""Counters of one process, without a store."""

import time
from collections.abc import Callable, Sequence

from serving.store.counters import Added, Addition

SWEEP_S = 60.0  # between two removals of what has expired


class LocalCounters:
    """The counters of `Expiring.add_all`, in memory."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: Unix time in seconds."""
        self._clock = clock
        self._counters: dict[str, tuple[float, float]] = {}  # sum and Unix time of its end, by key
        self._sweep_at = 0.0

    def add_all(self, additions: Sequence[Addition]) -> Added:
        """As `Expiring.add_all`; several additions to one counter are not supported."""
        now = self._clock()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_S
            self._counters = {key: known for key, known in self._counters.items() if known[1] > now}
        totals = tuple(self.total(one.key) for one in additions)
        if not all(one.fits(total) for one, total in zip(additions, totals, strict=True)):
            return Added(False, totals)
        for one, total in zip(additions, totals, strict=True):
            known = self._counters.get(one.key)
            ends_at = known[1] if known is not None and known[1] > now else now + one.ttl_s
            self._counters[one.key] = (total + one.amount, ends_at)
        return Added(True, tuple(total + one.amount for one, total in zip(additions, totals, strict=True)))

    def total(self, key: str) -> float:
        """The sum of a counter; 0 if there is none."""
        amount, ends_at = self._counters.get(key, (0.0, 0.0))
        return amount if ends_at > self._clock() else 0.0
