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
    """Upper bound of a request's work."""

    calls: int
    tokens: int | None  # completion tokens; None: unbounded

    def __add__(self, other: "Cost") -> "Cost":
        known = self.tokens is not None and other.tokens is not None
        return Cost(self.calls + other.calls, (self.tokens or 0) + (other.tokens or 0) if known else None)

    def __mul__(self, times: int) -> "Cost":
        return Cost(self.calls * times, None if self.tokens is None else self.tokens * times)


FREE = Cost(0, 0)


def costliest(costs: Iterable[Cost]) -> Cost:
    """Element-wise maximum over the possible routes of a request: an upper bound."""
    routes = [*costs]
    tokens = [cost.tokens for cost in routes]
    return Cost(max(cost.calls for cost in routes), None if None in tokens else max(count or 0 for count in tokens))


class Limits(Frozen):
    """Limits on the cost of one request; more is refused with 400 before any work."""

    max_calls: int = Field(default=64, ge=1, description="Calls of all agents.")
    max_tokens: int = Field(
        default=200_000,
        ge=1,
        description="Completion tokens of all agents; agents without a limit of their own share what the others leave.",
    )
    hedge_share: float = Field(
        default=0.05, ge=0, le=1, description="Hedged second attempts, as a share of all calls of the server."
    )
    retry_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="New attempts of calls whose replica was lost, as a share of all calls of an orchestrator replica.",
    )
    retry_burst: int = Field(
        default=100,
        ge=0,
        description="New attempts beyond `retry_share` that are allowed at once, for the calls in progress on a replica"
        " that is lost.",
    )


def token_cap(cost_of: Callable[[Sampling], Cost], sampling: Sampling, limits: Limits) -> int | None:
    """Token cap for each agent without one of its own, so that the request stays within `limits`.

    Args:
        cost_of: cost of the recipe for a sampling.
        sampling: the request's sampling.
        limits: the operator's limits.

    Returns:
        The cap in tokens; `None` if every agent has one.

    Raises:
        LimitExceeded: the request exceeds the limits even with the smallest cap.
    """
    cost = cost_of(sampling)
    if cost.calls > limits.max_calls:
        raise LimitExceeded("calls", cost.calls, limits.max_calls)
    if cost.tokens is not None:
        if cost.tokens > limits.max_tokens:
            field = "moa" if sampling.max_tokens is None else "max_tokens"
            raise LimitExceeded("tokens", cost.tokens, limits.max_tokens, field)
        return None

    def tokens(share: int) -> int:
        return cost_of(replace(sampling, max_tokens=share)).tokens or 0

    share = bisect_right(range(1, limits.max_tokens + 1), limits.max_tokens, key=tokens)
    if not share:
        raise LimitExceeded("tokens", tokens(1), limits.max_tokens)
    return share
