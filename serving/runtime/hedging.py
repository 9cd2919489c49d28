"""When to start a second attempt, and how many may be started.

The tail-at-scale rule (Dean and Barroso 2013): wait until a call is slower than a high quantile of its kind,
then ask a second replica, within a small budget of extra calls.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

WINDOW = 200  # durations remembered per kind of call
ENOUGH = 20  # durations needed before a quantile means anything
STEP = 10  # new durations that a quantile is kept for: sorting for every call would hold up all streams


@dataclass
class _Kind:
    durations_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    fresh: int = 0  # durations since the quantiles were forgotten
    quantiles_s: dict[float, float] = field(default_factory=dict)


class HedgeBudget:
    """Counts calls over the life of a server; hedges stay below `share` of them."""

    def __init__(self, share: float = 0.05) -> None:
        self.share = share
        self.calls = 0
        self.hedges = 0
        self._kinds: dict[Hashable, _Kind] = {}

    def record(self, kind: Hashable, duration_s: float) -> None:
        known = self._kinds.setdefault(kind, _Kind())
        known.durations_s.append(duration_s)
        known.fresh += 1
        if known.fresh >= STEP:
            known.fresh = 0
            known.quantiles_s.clear()

    def started(self) -> None:
        self.calls += 1

    def after_s(self, kind: Hashable, quantile: float) -> float | None:
        """How long to wait before a hedge; `None` while too little is known."""
        known = self._kinds.get(kind)
        if known is None or len(known.durations_s) < ENOUGH:
            return None
        if quantile not in known.quantiles_s:
            durations_s = sorted(known.durations_s)
            known.quantiles_s[quantile] = durations_s[round(quantile * (len(durations_s) - 1))]
        return known.quantiles_s[quantile]

    def take(self) -> bool:
        """Whether one more hedge fits into the budget; takes it when it does."""
        if self.hedges + 1 > self.share * self.calls:
            return False
        self.hedges += 1
        return True
