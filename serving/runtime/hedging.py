"""Second attempts: retries of lost calls, and hedges of slow ones within a budget.

Hedging follows "The Tail at Scale" (Dean and Barroso 2013): wait until a call is slower than a high quantile of its
kind, then ask a second replica, with a small budget of extra calls. Retries have a budget of the whole server, as in
"Handling Overload" (Site Reliability Engineering, 2016): a failing cluster is not asked several times as often.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from serving.errors import EngineUnavailable

T = TypeVar("T")
WINDOW = 200  # durations remembered per kind of call
ENOUGH = 20  # durations needed before a quantile means anything
STEP = 10  # new durations before quantiles are computed again: sorting for every call would delay all streams


async def retried(attempt: Callable[[], Coroutine[Any, Any, T]], retries: int, may_retry: Callable[[], bool]) -> T:
    """Result of `attempt`, run again up to `retries` times after `EngineUnavailable`, while `may_retry` is true."""
    for _ in range(retries):
        try:
            return await attempt()
        except EngineUnavailable as error:
            if not (error.retriable and may_retry()):
                raise
    return await attempt()


async def hedged(
    attempt: Callable[[int], Coroutine[Any, Any, T]], after_s: float | None, may_hedge: Callable[[], bool]
) -> tuple[T, bool]:
    """First result of one attempt, or of two if the first takes longer than `after_s`.

    Args:
        attempt: starts attempt number 1 or 2.
        after_s: seconds until the second attempt; None or 0: never.
        may_hedge: asked once, when the second attempt is due.

    Returns:
        The result, and True if it is the second attempt's. The other attempt has ended.

    Raises:
        MoaError: the first attempt's error, if none succeeded.
    """
    if not after_s:
        return await attempt(1), False
    first = asyncio.ensure_future(attempt(1))
    attempts = {first}
    try:
        await asyncio.wait(attempts, timeout=after_s)
        if not first.done() and may_hedge():
            attempts.add(asyncio.ensure_future(attempt(2)))
        while True:
            done, pending = await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in done if not task.exception()), None)
            if winner is not None or not pending:
                return (winner or first).result(), winner is not None and winner is not first
            attempts = pending
    finally:
        for task in attempts:
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)


class RetryBudget:
    """Token bucket over the life of a server: each call adds `share` of a retry, and at most `burst` are saved.

    It starts full. With `n` calls there are at most `n * share + burst` retries, whatever fails.
    """

    def __init__(self, share: float = 0.1, burst: int = 100) -> None:
        self.share, self.burst = share, burst
        self.saved = float(burst)

    def started(self) -> None:
        """Count one call that is not a retry."""
        self.saved = min(self.saved + self.share, self.burst)

    def take(self) -> bool:
        """True if one more retry fits into the budget, which is then charged."""
        if self.saved < 1:
            return False
        self.saved -= 1
        return True


@dataclass
class _Kind:
    durations_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    fresh: int = 0  # durations since the quantiles were discarded
    quantiles_s: dict[float, float] = field(default_factory=dict)


class HedgeBudget:
    """Counts calls over the life of a server; hedges stay below `share` of them."""

    def __init__(self, share: float = 0.05) -> None:
        self.share = share
        self.calls = 0
        self.hedges = 0
        self._kinds: dict[Hashable, _Kind] = {}

    def record(self, kind: Hashable, duration_s: float) -> None:
        """Remember the duration of one finished call."""
        known = self._kinds.setdefault(kind, _Kind())
        known.durations_s.append(duration_s)
        known.fresh += 1
        if known.fresh >= STEP:
            known.fresh = 0
            known.quantiles_s.clear()

    def started(self) -> None:
        """Count one call."""
        self.calls += 1

    def after_s(self, kind: Hashable, quantile: float) -> float | None:
        """Seconds to wait before a hedge; `None` while too few calls of this kind are known."""
        known = self._kinds.get(kind)
        if known is None or len(known.durations_s) < ENOUGH:
            return None
        if quantile not in known.quantiles_s:
            durations_s = sorted(known.durations_s)
            known.quantiles_s[quantile] = durations_s[round(quantile * (len(durations_s) - 1))]
        return known.quantiles_s[quantile]

    def take(self) -> bool:
        """True if one more hedge fits into the budget, which is then charged."""
        if self.hedges + 1 > self.share * self.calls:
            return False
        self.hedges += 1
        return True
