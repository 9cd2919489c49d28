"""Token counts."""

from dataclasses import dataclass
from typing import Literal

UsageScope = Literal["answer", "team"]  # tokens of the call that wrote the answer, or of all calls of the request


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts. `None` means unknown, so that it stays distinguishable from zero."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cached_tokens: int | None = 0  # the part of prompt_tokens served from the prefix cache
    reasoning_tokens: int | None = 0  # the part of completion_tokens that is reasoning

    @property
    def total_tokens(self) -> int | None:
        """Prompt and completion tokens together."""
        return _add(self.prompt_tokens, self.completion_tokens)

    def usd(self, price: tuple[float, float] | None) -> float | None:
        """Dollars at `price`, those of a million prompt and of a million completion tokens. None: one is unknown."""
        if price is None or self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return (self.prompt_tokens * price[0] + self.completion_tokens * price[1]) / 1e6

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            _add(self.prompt_tokens, other.prompt_tokens),
            _add(self.completion_tokens, other.completion_tokens),
            _add(self.cached_tokens, other.cached_tokens),
            _add(self.reasoning_tokens, other.reasoning_tokens),
        )


UNKNOWN_USAGE = TokenUsage(None, None, None, None)


def _add(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right
