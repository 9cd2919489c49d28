"""Models of a profile that another OpenAI-compatible endpoint serves."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from deployments.model_spec import ModelId, TokenPrice, checked_modalities
from serving.config import Frozen
from serving.conversation import Modality
from serving.engines.openai import OpenAIEngine


class ExternalSpec(Frozen):
    """A model behind another OpenAI-compatible endpoint; recipes use it like any other model."""

    renamed: ClassVar[Mapping[str, str]] = {"lacks": "unsupported"}

    id: ModelId
    base_url: str = Field(pattern=r"^https?://", description="URL of the endpoint, up to and including /v1.")
    upstream_model: str | None = Field(default=None, description="Name of the model at the endpoint. None: `id`.")
    api_key_env: str | None = Field(
        default=None, description="Environment variable that holds the API key. None: no key is sent."
    )
    context_tokens: int = Field(ge=1, description="Length of the model's context.")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="Field in which the endpoint takes the token limit."
    )
    unsupported: frozenset[Literal["logprobs", "n"]] = Field(
        default=frozenset(),
        description="Features that the endpoint lacks. Without n, several answers are as many calls.",
    )
    completions: bool = Field(
        default=False, description="The endpoint has /completions, for prompts without a chat template."
    )
    modalities: tuple[Modality, ...] = Field(
        default=("text",),
        description="What the endpoint's model reads in messages: [text] or [text, image]. Images are sent along.",
    )
    connect_timeout_s: float = Field(default=5, gt=0, description="Time limit for connecting.")
    silence_timeout_s: float = Field(
        default=120, gt=0, description="Time limit for the next byte of an answer, the first included."
    )
    usd_per_million_tokens: TokenPrice | None = Field(
        default=None, description="Price of the model's tokens. None: left out of the estimated cost."
    )

    @field_validator("modalities")
    @classmethod
    def _text_is_read(cls, modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
        return checked_modalities(modalities)

    def engine(self) -> OpenAIEngine:
        """Build the engine that calls the endpoint.

        Raises:
            ConfigError: the variable `api_key_env` is not set.
        """
        return OpenAIEngine(
            self.id,
            self.base_url,
            self.upstream_model,
            self.api_key_env,
            self.max_tokens_field,
            self.connect_timeout_s,
            self.silence_timeout_s,
            context_tokens=self.context_tokens,
            unsupported=self.unsupported,
            raw_prompts=self.completions,
            modalities=self.modalities,
        )
