"""JSON of Responses answers, for `/openapi.json`: what clients read. `serving.api.dialects` writes it without these."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from serving.api.schemas.answers import Read
from serving.api.schemas.moa import Moa

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class AlternativeLogprob(Read):
    """A token and its log probability."""

    token: str
    logprob: float
    bytes: list[int]


class TokenOfText(AlternativeLogprob):
    """A token of the text, and the most likely tokens in its place."""

    top_logprobs: list[AlternativeLogprob]


class OutputText(Read):
    """Text of a message."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[TokenOfText]


class ReasoningText(Read):
    """Text of a reasoning item."""

    type: Literal["reasoning_text"]
    text: str


class OutputMessage(Read):
    """The text of the answer."""

    id: str
    type: Literal["message"]
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText]


class OutputReasoning(Read):
    """Reasoning before the answer."""

    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[Any]
    content: list[ReasoningText]
    encrypted_content: str | None = Field(description="The same text, encoded; only if `include` asks for it.")


class OutputFunctionCall(Read):
    """Call of a function, which the client runs."""

    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    name: str
    namespace: str | None = Field(default=None, description="Only of a function in a namespace.")
    arguments: str = Field(description="As the model wrote it; need not be valid JSON.")


class InputTokensDetails(Read):
    """Details of `input_tokens`."""

    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(Read):
    """Details of `output_tokens`."""

    reasoning_tokens: int


class ResponseUsage(Read):
    """Tokens; an unknown part of a total is 0."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseError(Read):
    """Reason why the answer failed within its stream."""

    code: str
    message: str


class IncompleteDetails(Read):
    """Reason why the answer ended early."""

    reason: Literal["max_output_tokens", "content_filter"]


class ResponseRead(Read):
    """An answer. Fields beside these repeat the request."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["response"]
    created_at: int = Field(description="Unix time in seconds.")
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    model: str
    output: list[Annotated[OutputMessage | OutputReasoning | OutputFunctionCall, Field(discriminator="type")],]
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    usage: ResponseUsage | None = Field(description="Null if a total is unknown.")
    store: Literal[False]
    moa: Moa | None = None


class ResponseEvent(Read):
    """Data of each event of a stream; the fields beside these depend on `type`, as in OpenAI's API."""

    model_config = ConfigDict(extra="allow")

    type: str
    sequence_number: int
    response: ResponseRead | None = None
