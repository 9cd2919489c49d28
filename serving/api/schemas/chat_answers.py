"""JSON of chat completions, for `/openapi.json`: what clients read."""

from typing import Literal

from pydantic import Field

from serving.api.schemas.answers import Logprobs, Read, ToolCallRead, Usage
from serving.api.schemas.moa import Moa, MoaEvents


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
