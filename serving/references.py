"""References: the answers of agents, as the agents of the next layer see them."""

from dataclasses import dataclass, field
from typing import Literal

from serving.conversation import FinishReason, ToolCall
from serving.usage import TokenUsage

Layout = Literal["paper", "references_last"]


@dataclass(frozen=True, slots=True)
class Draft:
    """Answer of a proposer that had the request's tools: its own text and calls."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    ballot: str | None = None  # equal for equal calls; None: without a vote, see `serving.runtime.drafts.ballot`


@dataclass(frozen=True, slots=True)
class Reference:
    """One agent's answer, as the agents of the next layer see it."""

    model: str
    text: str  # of a draft: its text, then its calls as prose
    finish_reason: FinishReason = "stop"  # reported to the caller if this becomes the answer
    as_answer: bool = False  # sampled with the caller's stop, response format and token limit
    draft: Draft | None = None  # None: the agent had no tools
    # Tokens of the call that wrote it. None: unknown here, or a call of an earlier request. No part of the prompt.
    usage: TokenUsage | None = field(default=None, compare=False, repr=False)
    # Of its lowest group of tokens, see `serving.runtime.confidence`. None: not asked for. No part of the prompt.
    confidence: float | None = field(default=None, compare=False, repr=False)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Calls of the draft."""
        return () if self.draft is None else self.draft.tool_calls


References = tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class ReferenceBlock:
    """References of one prompt, the instruction above them and their position in the conversation."""

    references: References
    instruction: str
    layout: Layout = "paper"
    numbers: tuple[int, ...] = ()  # of the references, where one answer is in several parts; (): 1 to n
