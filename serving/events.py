"""Events of a run, for a caller that watches the team (`moa.events`), and the deltas that carry them.

A stream has them only if the request asks for them. Times are in seconds after the start of the run.
"""

from dataclasses import dataclass
from typing import ClassVar

from serving.types import AgentTrace, Delta


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Base of all events; `name` is the event's name in JSON."""

    name: ClassVar[str]
    at_s: float


@dataclass(frozen=True, slots=True)
class RunStarted(RunEvent):
    """The recipe began."""

    name = "run_started"
    recipe: str


@dataclass(frozen=True, slots=True)
class LayerStarted(RunEvent):
    """A layer of proposers began; `needed` usable proposals are its quorum."""

    name = "layer_started"
    layer: int
    agents: int
    needed: int


@dataclass(frozen=True, slots=True)
class LayerFinished(RunEvent):
    """A layer ended with `usable` proposals; the agents in `stragglers` were cancelled after the grace period."""

    name = "layer_finished"
    layer: int
    usable: int
    stragglers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class VoteEnded(RunEvent):
    """Result of a vote on tool calls; `agreed`: a majority drafted the same."""

    name = "vote_ended"
    layer: int
    outcome: str
    agreed: bool


@dataclass(frozen=True, slots=True)
class ReasonAdded(RunEvent):
    """A sentence was added to the `reasons` of the answer; `degrades`: the answer is degraded by it."""

    name = "reason_added"
    reason: str
    degrades: bool


@dataclass(frozen=True, slots=True)
class AgentEvent(RunEvent):
    """Base of the events of one agent, which `layer` and `agent` identify, as in the trace."""

    layer: int
    agent: int
    model: str
    role: str


@dataclass(frozen=True, slots=True)
class AgentStarted(AgentEvent):
    """The agent was asked; `answers`: what it writes is the answer of the stream, not in events."""

    name = "agent_started"
    answers: bool


@dataclass(frozen=True, slots=True)
class AgentFirstToken(AgentEvent):
    """The first piece of the agent's answer arrived: text, reasoning or a tool call."""

    name = "agent_first_token"


@dataclass(frozen=True, slots=True)
class AgentText(AgentEvent):
    """A piece of a proposal; with `events: text` only."""

    name = "agent_text"
    text: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class AgentRetried(AgentEvent):
    """The agent's replica was lost and it was asked again: the text so far is void."""

    name = "agent_retried"


@dataclass(frozen=True, slots=True)
class AgentHedged(AgentEvent):
    """A second attempt started because the first is slow. Its text is in `AgentFinished` only."""

    name = "agent_hedged"


@dataclass(frozen=True, slots=True)
class AgentRefilled(AgentEvent):
    """`model` is asked for a proposal that `replaces` could not give."""

    name = "agent_refilled"
    replaces: str


@dataclass(frozen=True, slots=True)
class AgentFinished(AgentEvent):
    """The agent ended; `trace` has its status, tokens, times and, if it failed, the reason.

    `reason`: the sentence for the caller, if it gave no usable answer.
    """

    name = "agent_finished"
    trace: AgentTrace
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EventDelta(Delta):
    """A delta of a watched stream that carries events and no piece of the answer."""

    events: tuple[RunEvent, ...] = ()
