"""The `moa` object of answers, for `/openapi.json`: the trace, and the events of a run in a stream."""

from typing import Literal

from pydantic import Field

from serving.api.schemas.answers import Read, ToolCallRead, Usage
from serving.conversation import FinishReason
from serving.types import CacheStatus


class AgentOfTrace(Read):
    """One agent's part in an answer; api.md explains the fields."""

    agent: int
    role: str
    model: str
    outcome: str
    text: str
    usage: Usage
    started_ms: float | None
    elapsed_ms: float | None
    queue_ms: float | None
    ttft_ms: float | None
    total_ms: float | None
    error: str | None
    hedged: bool
    shortened: int
    reasoning: str = ""
    tool_calls: list[ToolCallRead] = []
    images: int = Field(default=0, description="Number of images in its prompt.")
    finish_reason: FinishReason | None = Field(
        default=None, description="End of its answer: `length` and `content_filter` cut it. Null: it did not end."
    )


class LayerOfTrace(Read):
    """Agents that were asked at the same time."""

    layer: int
    agents: list[AgentOfTrace]


class Moa(Read):
    """Extension of this server: how a recipe made its answer. A model's answer has it only with a trace."""

    recipe: str | None
    degraded: bool = Field(description="The answer was made with less than the recipe asks for.")
    reasons: list[str]
    usage: Usage = Field(description="Sum over all agents whose tokens are known.")
    cache: CacheStatus | None = Field(
        default=None, description="Only if the response cache is on for the request; `hit`: no engine was asked."
    )
    cached: bool = Field(
        default=False, description="The answer is a stored one; the usages are those of when it was computed."
    )
    trace: list[LayerOfTrace] = Field(default=[], description='Only if the request has `"moa": {"trace": true}`.')


class RunEventRead(Read):
    """Base of the events of a run."""

    at_ms: float = Field(description="Milliseconds after the start of the run.")


class RunStartedRead(RunEventRead):
    """The recipe began."""

    event: Literal["run_started"]
    recipe: str


class LayerStartedRead(RunEventRead):
    """A layer of proposers began."""

    event: Literal["layer_started"]
    layer: int
    agents: int = Field(description="Number of agents.")
    needed: int = Field(description="Usable proposals that are enough.")


class LayerFinishedRead(RunEventRead):
    """A layer ended."""

    event: Literal["layer_finished"]
    layer: int
    usable: int = Field(description="Usable proposals.")
    stragglers: list[int] = Field(description="Agents that were cancelled.")


class VoteEndedRead(RunEventRead):
    """A vote on tool calls ended."""

    event: Literal["vote_ended"]
    layer: int
    outcome: str
    agreed: bool


class ReasonAddedRead(RunEventRead):
    """The answer got a reason."""

    event: Literal["reason_added"]
    reason: str
    degrades: bool


class AgentEventRead(RunEventRead):
    """An event of one agent: its first token, a second attempt, or a new one after its replica was lost."""

    event: Literal["agent_first_token", "agent_hedged", "agent_retried"]
    layer: int
    agent: int
    model: str
    role: str


class AgentStartedRead(RunEventRead):
    """An agent was asked."""

    event: Literal["agent_started"]
    layer: int
    agent: int
    model: str
    role: str
    answers: bool = Field(description="Its text is the answer of the stream.")


class AgentTextRead(RunEventRead):
    """A piece of a proposal."""

    event: Literal["agent_text"]
    layer: int
    agent: int
    text: str = ""
    reasoning: str = ""


class AgentRefilledRead(RunEventRead):
    """Another model is asked for a proposal."""

    event: Literal["agent_refilled"]
    layer: int
    agent: int
    model: str
    role: str
    replaces: str = Field(description="The model that could not give the proposal.")


class AgentFinishedRead(AgentOfTrace):
    """An agent ended. Its text is there with `"events": "text"` only."""

    event: Literal["agent_finished"]
    at_ms: float
    layer: int
    text: str = ""


class MoaEvents(Read):
    """Events of a run in a stream. Only if the request has `"moa": {"events": ...}`; api.md explains them."""

    events: list[
        RunStartedRead
        | LayerStartedRead
        | LayerFinishedRead
        | VoteEndedRead
        | ReasonAddedRead
        | AgentEventRead
        | AgentStartedRead
        | AgentTextRead
        | AgentRefilledRead
        | AgentFinishedRead
    ]
