"""Parts of all answers, for `/openapi.json`: what clients read. `serving.api.dialects` writes it without these models.

A test holds the models of this folder against what the server answers.
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
