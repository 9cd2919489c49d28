"""Answers: the lines of `rows.jsonl`."""

from typing import Any, Literal

from pydantic import BaseModel

from serving.config import Frozen

PROPOSER, AGGREGATOR = "proposer", "aggregator"
NOT_SCORED = "not scored: "  # begins the error of an answer whose scorer failed
Fault = Literal["json", "tool", "parameter"]


class AgentRow(Frozen):
    """One agent's call, from the server's trace. `None` means unknown, never zero."""

    turn: int = 1  # of the conversation, from 1
    step: int = 1  # request of the turn, from 1: a loop of tool calls has several
    layer: int  # from 1; the aggregator's is the last
    agent: int
    role: str
    model: str
    outcome: str  # "ok", or the reason for no answer
    text: str = ""
    called: bool = False  # it answered with tool calls
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    total_s: float | None = None

    @property
    def usable(self) -> bool:
        """True if the agent answered with a text."""
        return self.outcome == "ok" and not self.called


class CallRow(Frozen):
    """A tool call of an answer, and the result that the client sent back."""

    name: str
    arguments: str  # as the model wrote them
    fault: Fault | None = None  # no JSON object, an unknown tool, a missing parameter; None: a valid call
    result: str = ""


class StepRow(Frozen):
    """One request of a loop of tool calls. `None` means unknown, never zero."""

    turn: int = 1  # of the conversation, from 1
    calls: tuple[CallRow, ...] = ()  # none: the loop's last request, answered with a text
    proposers: int | None = None  # asked in this request; 0: their earlier answers were used again, or there are none
    prompt_tokens: int | None = None  # of the final agent's own call
    cached_tokens: int | None = None  # of these, from the prefix cache


class Row(Frozen):
    """One answer of one arm to one item, with everything that the analyses need."""

    arm: str
    model: str  # the requested model id
    dataset: str
    item: str
    sample: int = 0
    skill: str = ""
    questions: tuple[str, ...]
    answers: tuple[str, ...] = ()  # one per turn
    reference: str | None = None  # the right answer, compared with the last of `answers`
    references: tuple[str, ...] = ()  # for a judge, one per turn
    accepted: tuple[str, ...] = ()  # further right answers beside `reference`
    criteria: tuple[str, ...] = ()  # that a judge rates; none: a whole rating
    scorer: str | None = None
    score: float | None = None  # in [0, 1]; None: left to a judge
    extracted: str | None = None  # the answer as the scorer read it
    baseline: str | None = None
    difficulty: float | None = None
    trace: tuple[AgentRow, ...] = ()
    steps: tuple[StepRow, ...] = ()  # one per request, if the item has tools
    expected_first: bool | None = None  # the first call was of the right tool, or rightly there was none
    degraded: bool = False
    reasons: tuple[str, ...] = ()
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None  # of completion_tokens
    latency_s: float | None = None  # until the whole answer, summed over turns
    cost_usd: float | None = None
    tflops: float | None = None  # tera operations of all agents; computed with a profile's numbers of parameters
    tflops_in_sequence: float | None = None  # of these, the largest of each layer
    error: str | None = None

    @property
    def key(self) -> str:
        """Identity of the answer; a later row with the same key replaces an earlier one."""
        return row_key(self.arm, self.dataset, self.item, self.sample)

    @property
    def text(self) -> str:
        """The last turn's answer."""
        return self.answers[-1] if self.answers else ""

    @property
    def tokens(self) -> int | None:
        """Prompt and completion tokens; `None` if one count is unknown."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens

    @property
    def calls(self) -> int:
        """Number of engine calls: those of the trace, or one per request without a trace.

        Several samples of one call are separate entries of the trace; the first has the call's prompt tokens, the
        others have 0.
        """
        return sum(agent.prompt_tokens != 0 for agent in self.trace) or len(self.steps) or len(self.questions)

    @property
    def done(self) -> bool:
        """True if the answer has no error."""
        return self.error is None

    @property
    def last_turn(self) -> tuple[AgentRow, ...]:
        """The agents of the last turn."""
        return tuple(agent for agent in self.trace if agent.turn == len(self.questions))


def row_key(arm: str, dataset: str, item: str, sample: int) -> str:
    """Return the identity of an answer."""
    return valid_text("\x1f".join((arm, dataset, item, str(sample))))


def valid_text(text: str) -> str:
    """Return `text` with each lone surrogate, which no file in UTF-8 can hold, replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def dumped(row: BaseModel) -> dict[str, Any]:
    """Return the row as JSON values, without fields at their defaults."""
    return row.model_dump(mode="json", exclude_defaults=True)
