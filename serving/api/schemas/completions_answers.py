"""JSON of completions, for `/openapi.json`: what clients read."""

from typing import Literal

from pydantic import Field

from serving.api.schemas.answers import Read, Usage
from serving.api.schemas.moa import Moa


class TextLogprobs(Read):
    """Log probabilities of a choice's tokens, in lists of one length."""

    tokens: list[str]
    token_logprobs: list[float | None] = Field(description="Null for the first token of an echoed prompt.")
    top_logprobs: list[dict[str, float] | None] = Field(description="The token itself and the most likely ones.")
    text_offset: list[int] = Field(description="Length of the texts of the tokens before.")


class TextChoice(Read):
    """One of `n` continuations of one prompt, or a piece of it."""

    index: int = Field(description="Position of the prompt times `n`, plus the number of the choice.")
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Literal["stop", "length", "content_filter"] | None


class TextCompletion(Read):
    """A whole answer."""

    id: str
    object: Literal["text_completion"]
    created: int = Field(description="Unix time in seconds.")
    model: str
    choices: list[TextChoice]
    usage: Usage
    moa: Moa | None = None


class TextCompletionChunk(Read):
    """Data of each event of a stream. The last event has `[DONE]` instead, and an error `ErrorBody`."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None
    moa: Moa | None = None
