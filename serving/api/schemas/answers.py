"""JSON of answers, for `/openapi.json`: what clients read. `serving.api.dialects` writes it without these models.

A test holds them against what the server answers.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Read(BaseModel):
    """Base of these models."""

    model_config = ConfigDict(extra="forbid")


class ErrorObject(Read):
    """One error."""

    message: str = Field(description="One sentence that says what to change.")
    type: str
    param: str | None = Field(description="The field that the error is about.")
    code: str = Field(description="A word for programs; see errors.md.")


class ErrorBody(Read):
    """Answer to a request that failed."""

    error: ErrorObject


class PromptDetails(Read):
    """Details of `prompt_tokens`."""

    cached_tokens: int | None


class CompletionDetails(Read):
    """Details of `completion_tokens`."""

    reasoning_tokens: int | None


class Usage(Read):
    """Tokens; an unknown count is null."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class AlternativeToken(Read):
    """A token and its log probability."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenOfAnswer(AlternativeToken):
    """A token of the answer, and the most likely tokens in its place."""

    top_logprobs: list[AlternativeToken]


class Logprobs(Read):
    """Log probabilities of an answer's tokens."""

    content: list[TokenOfAnswer]
    refusal: None


class CalledFunction(Read):
    """Function that the model calls."""

    name: str
    arguments: str = Field(description="As the model wrote it; need not be valid JSON.")


class ToolCallRead(Read):
    """A tool call."""

    id: str
    type: Literal["function"]
    function: CalledFunction


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


class LayerOfTrace(Read):
    """Agents that were asked at the same time."""

    layer: int
    agents: list[AgentOfTrace]


class Moa(Read):
    """Extension of this server: how a recipe made its answer. Absent if there is nothing to say."""

    recipe: str | None
    degraded: bool = Field(description="The answer was made with less than the recipe asks for.")
    reasons: list[str]
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


class AnswerMessage(Read):
    """The assistant's message."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str = ""
    reasoning: str = Field(default="", description="The same as `reasoning_content`.")
    tool_calls: list[ToolCallRead] = []


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class AnswerChoice(Read):
    """One of `n` answers."""

    index: int
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class ChatCompletion(Read):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int = Field(description="Unix time in seconds.")
    model: str
    choices: list[AnswerChoice]
    usage: Usage
    moa: Moa | None = None


class FunctionPiece(Read):
    """Piece of a function call."""

    name: str = ""
    arguments: str


class ToolCallPiece(Read):
    """Piece of a tool call; `id`, `type` and the name are in the first one only."""

    index: int
    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionPiece


class DeltaRead(Read):
    """Addition of a chunk to the answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: None = None
    reasoning_content: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallPiece] = []


class ChunkChoice(Read):
    """Piece of one of `n` answers."""

    index: int
    delta: DeltaRead
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(Read):
    """Data of each event of a stream. The last event has `[DONE]` instead, and an error `ErrorBody`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    moa: Moa | MoaEvents | None = None


class ModelRead(Read):
    """A model or a recipe."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    kind: Literal["model", "recipe"]
    max_model_len: int | None = Field(description="Context in tokens.")
    description: str


class ModelList(Read):
    """All models and recipes."""

    object: Literal["list"]
    data: list[ModelRead]


class Health(Read):
    """The process runs."""

    status: Literal["ok"]


class ReadyBody(Read):
    """Every engine answers."""

    status: Literal["ready"]
    engines: list[str]


class NotReadyBody(ErrorBody):
    """Some engines do not answer."""

    failing: dict[str, str] = Field(description="Reason by model.")


class Versions(BaseModel):
    """Versions of the server and its libraries."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]

    version: str
    python: str
