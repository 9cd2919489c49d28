"""Model cards: the entries of `/v1/models`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from serving.conversation import Modality

Task = Literal["generate", "embed", "rerank"]  # the requests that a model answers


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Entry of `/v1/models`."""

    id: str
    kind: Literal["model", "recipe"]
    context_tokens: int | None = None
    description: str = ""
    thinking: bool = False  # its final agent separates reasoning from text, and can switch it
    tools: bool = False  # requests may have tools
    usd_per_million_tokens: Mapping[str, float] | None = None  # "prompt" and "completion"; None: unknown
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # JSON schemas, see `recipes.overrides`
    task: Task = "generate"
    modalities: tuple[Modality, ...] = ("text",)  # of a recipe: those of any of its models
    parent: str | None = None  # id of the model that this one, a LoRA adapter, changes

    @property
    def price(self) -> tuple[float, float] | None:
        """Dollars of a million prompt and of a million completion tokens. None: unknown."""
        given = self.usd_per_million_tokens
        return None if given is None else (given["prompt"], given["completion"])
