"""Fields of OpenAI's chat completions that are hints: accepted with every value, and without effect here."""

from typing import Annotated, Any, Literal

from pydantic import Field

from serving.api.schemas.wire import Wire

# In parts, messages and tools: prompts are cached without it.
CacheControl = Annotated[dict[str, Any] | None, Field(description="A hint without effect.")]


class ChatHints(Wire):
    """Hints of a chat request."""

    prediction: dict[str, Any] | None = Field(default=None, description="A hint without effect.")
    prompt_cache_options: dict[str, Any] | None = Field(default=None, description="A hint without effect.")
    prompt_cache_retention: str | None = Field(default=None, description="A hint without effect.")
    safety_identifier: str | None = Field(default=None, max_length=512, description="A hint without effect.")
    service_tier: str | None = Field(
        default=None, description="A hint without effect: all requests are served alike; see `priority`."
    )
    store: bool = Field(default=False, description="A hint without effect: nothing is stored.")
    verbosity: Literal["low", "medium", "high"] | None = Field(
        default=None, description="A hint without effect: models have no such setting."
    )
