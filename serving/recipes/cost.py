"""Upper bounds of a request's calls and tokens, and the operator's limits on them."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pydantic import Field

from serving.config import Frozen
from serving.errors import LimitExceeded
from serving.types import Sampling


@dataclass(frozen=True, slots=True)
class Cost:
    """An upper bound of a request's work."""

    calls: int
    tokens: int | None  # completion tokens; None where nothing bounds them

    def __add__(self, other: "Cost") -> "Cost":
        known = self.tokens is not None and other.tokens is not None
        return Cost(self.calls + other.calls, (self.tokens or 0) + (other.tokens or 0) if known else None)

    def __mul__(self, times: int) -> "Cost":
        return Cost(self.calls * times, None if self.tokens is None else self.tokens * times)


FREE = Cost(0, 0)


def costliest(costs: Iterable[Cost]) -> Cost:
    """Of several ways that a request may go: the most calls and the most tokens, be they of one way or of two."""
    ways = [*costs]
    tokens = [cost.tokens for cost in ways]
    return Cost(max(cost.calls for cost in ways), None if None in tokens else max(count or 0 for count in tokens))


class Limits(Frozen):
    """What one request may cost at most; beyond it, 400 before any work."""

    max_calls: int = Field(default=64, ge=1)
    max_tokens: int = Field(
        default=200_000,
        ge=1,
        description="Completion tokens over all agents; those that nothing else bounds share what the others leave.",
    )
    hedge_share: float = Field(default=0.05, ge=0, le=1, description="Hedged second attempts per call, at most.")


def bounded(cost_of: Callable[[Sampling], Cost], sampling: Sampling, limits: Limits) -> int | None:
    """What each agent's answer may have at most that nothing else bounds, so that `limits` hold; `None`: all are.

    Raises:
        LimitExceeded: the limits cannot hold.
    """
    cost = cost_of(sampling)
    if cost.calls > limits.max_calls:
        raise LimitExceeded("calls", cost.calls, limits.max_calls)
    if cost.tokens is not None:
        if cost.tokens > limits.max_tokens:
            raise LimitExceeded("tokens", cost.tokens, limits.max_tokens)
        return None

    def tokens(share: int) -> int:
        return cost_of(replace(sampling, max_tokens=share)).tokens or 0

    share = bisect_right(range(1, limits.max_tokens + 1), limits.max_tokens, key=tokens)
    if not share:
        raise LimitExceeded("tokens", tokens(1), limits.max_tokens)
    return share
