"""A task for agents, and the number of answers that are enough."""

from collections.abc import Callable
from dataclasses import dataclass

from serving.conversation import Message
from serving.references import References
from serving.runtime.confidence import Confidence


@dataclass(frozen=True, slots=True)
class Task:
    """One question to one or more agents."""

    references: References = ()  # shown to every agent
    messages: tuple[Message, ...] | None = None  # None: the request's own conversation
    role: str | None = None  # in the trace; None: "proposer", or "aggregator" for the final answer
    as_answer: bool = False  # may become the answer: sampled with the caller's stop, format and token limit
    numbers: tuple[int, ...] = ()  # of the references in the prompt; (): 1 to n
    drafts: bool = False  # agents whose engines support tools have the request's tools
    confidence: Confidence | None = None  # answers are stopped when theirs falls; None: none is


@dataclass(frozen=True, slots=True)
class Quorum:
    """Usable answers that a layer waits for."""

    needed: int
    strict: bool = True  # fewer are an error
    patient: bool = False  # fewer are no error, but the layer does not end without them when its time is over
    vote: bool = True  # equal tool calls of a majority end the layer (`tools: vote`)


@dataclass(frozen=True, slots=True)
class Arrived:
    """Answers of a layer so far, and those that are missing."""

    references: References  # the usable ones in their order, those from before the layer first
    settled: int  # of `references`: they come before those of all missing answers
    missing: int  # answers that have not ended, or were not asked for yet


Decision = Callable[[Arrived], bool]  # True if the layer needs no more answers
