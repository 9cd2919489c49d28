"""JSON of Messages answers, for `/openapi.json`: what clients read. `serving.api.dialects` writes it without these."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from serving.api.schemas.answers import Read
from serving.api.schemas.moa import Moa


class AnswerText(Read):
    """Text of the answer."""

    type: Literal["text"]
    text: str


class AnswerThinking(Read):
    """Thinking before the answer."""

    type: Literal["thinking"]
    thinking: str
    signature: str = Field(description="The same text, encoded.")


class AnswerToolUse(Read):
    """Tool call, which the client runs."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ThinkingTokens(Read):
    """Details of `output_tokens`."""

    thinking_tokens: int


class MessageUsage(Read):
    """Tokens; an unknown count is 0."""

    input_tokens: int = Field(description="Without those read from the cache.")
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: ThinkingTokens


class MessageRead(Read):
    """An answer."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Annotated[AnswerText | AnswerThinking | AnswerToolUse, Field(discriminator="type")]]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"] | None
    stop_sequence: str | None
    usage: MessageUsage
    moa: Moa | None = None


class MessageEvent(Read):
    """Data of each event of a stream; the fields beside these depend on `type`, as in Anthropic's API."""

    model_config = ConfigDict(extra="allow")

    type: Literal[
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    ]


class TokenCount(Read):
    """Number of tokens of a prompt."""

    input_tokens: int


class MessagesErrorObject(Read):
    """One error."""

    type: str
    message: str = Field(description="One sentence that says what to change.")
    code: str = Field(description="A word for programs; see errors.md.")
    param: str | None = Field(description="The field that the error is about.")
    details: dict[str, Any] | None = Field(default=None, description="Only of the error about `thread`.")


class MessagesErrorBody(Read):
    """Answer to a request that failed."""

    type: Literal["error"]
    error: MessagesErrorObject
    request_id: str
