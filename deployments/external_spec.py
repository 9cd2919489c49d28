"""Models of a profile that another OpenAI-compatible endpoint serves."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from deployments.modalities import checked_modalities
from deployments.model_identity import ModelId, TokenPrice
from serving.config import Frozen
from serving.conversation import Modality
from serving.engine import CONTINUING
from serving.engines.base_url import base_url_problem
from serving.engines.openai import OpenAIEngine


class ExternalSpec(Frozen):
    """A model behind another OpenAI-compatible endpoint; recipes use it like any other model."""

    renamed: ClassVar[Mapping[str, str]] = {"lacks": "unsupported"}

    id: ModelId
    base_url: str = Field(description="URL of the endpoint, up to and including /v1.")
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
    usage_wait_s: float = Field(
        default=0.5,
        ge=0,
        description="Time limit for the token counts and the end of an answer's stream after its last choice has ended."
        " Then the answer is complete without them.",
    )
    max_event_bytes: int = Field(
        default=2**20,
        ge=1024,
        description="Maximum size of one event of an answer's stream in bytes, and of an answer that is not streamed."
        " Raise it only for answers that an endpoint sends whole with `logprobs`: reading 4 MiB of JSON can hold up all"
        " requests of the process for half a second.",
    )
    max_answer_bytes: int = Field(
        default=64 * 2**20, ge=1024, description="Maximum size of all events of an answer in bytes."
    )
    usd_per_million_tokens: TokenPrice | None = Field(
        default=None, description="Price of the model's tokens. None: left out of the estimated cost."
    )

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, base_url: str) -> str:
        if (problem := base_url_problem(base_url)) is not None:
            raise ValueError(problem)
        return base_url

    @field_validator("modalities")
    @classmethod
    def _text_is_read(cls, modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
        return checked_modalities(modalities)

    @property
    def unsupported_abilities(self) -> frozenset[str]:
        """Abilities that the endpoint lacks, see `EngineInfo`: OpenAI's API cannot continue a message."""
        return self.unsupported | {CONTINUING}

    def engine(self) -> OpenAIEngine:
        """Build the engine that calls the endpoint.

        Raises:
            ConfigError: the variable `api_key_env` is not set or holds no key.
        """
        return OpenAIEngine(
            self.id,
            self.base_url,
            self.upstream_model,
            self.api_key_env,
            self.max_tokens_field,
            self.connect_timeout_s,
            self.silence_timeout_s,
            self.usage_wait_s,
            self.max_event_bytes,
            self.max_answer_bytes,
            context_tokens=self.context_tokens,
            unsupported=self.unsupported,
            raw_prompts=self.completions,
            modalities=self.modalities,
        )
