"""Records of requests as values, and the days that they belong to."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.usage import TokenUsage


def day_of(at: float) -> str:
    """Date in UTC, such as `2026-11-30`, of a Unix time in seconds."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date().isoformat()


def month_of(day: str) -> tuple[str, str]:
    """First day of the month of `day`, and first day of the next month."""
    first = datetime.date.fromisoformat(day).replace(day=1)
    return first.isoformat(), (first + datetime.timedelta(days=32)).replace(day=1).isoformat()


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call of a model. Unknown token counts, and the cost of a model without a price, are None."""

    model: str
    role: str
    layer: int
    agent: int
    outcome: str
    usage: TokenUsage
    usd: float | None
    priced: bool
    elapsed_s: float | None = None
    ttft_s: float | None = None

    @property
    def counted(self) -> bool:
        """True if its tokens are known."""
        return self.usage.prompt_tokens is not None and self.usage.completion_tokens is not None


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that was passed to an engine. Its tokens and its cost are the sums over its counted calls."""

    id: str
    at: float  # end, Unix time in seconds
    request_id: str
    answer_id: str
    key: str
    tenant: str
    path: str
    model: str
    recipe: str
    priority_class: str
    priority: int
    streamed: bool
    prompts: int
    calls: Sequence[CallRecord]
    ttft_s: float | None
    total_s: float
    outcome: str
    degraded: bool = False
    reasons: Sequence[str] = field(default_factory=tuple)
    prompt_text: str | None = None
    answer_text: str | None = None

    @property
    def usage(self) -> TokenUsage:
        """Sum over the counted calls, as `moa.usage` of the answer has it."""
        total = TokenUsage()
        for call in self.calls:
            if call.counted:
                known = call.usage
                total += TokenUsage(
                    known.prompt_tokens,
                    known.completion_tokens,
                    known.cached_tokens or 0,
                    known.reasoning_tokens or 0,
                )
        return total

    @property
    def usd(self) -> float:
        """Dollars of the calls whose cost is known."""
        return sum(call.usd or 0.0 for call in self.calls)

    @property
    def proposers(self) -> int:
        """Number of proposers in the largest layer; 0 for a single model."""
        slots = {(call.layer, call.agent) for call in self.calls if call.role == "proposer"}
        layers = [layer for layer, _ in slots]
        return max((layers.count(layer) for layer in layers), default=0)
