"""JSON of the server's models and status, for `/openapi.json`: what clients read."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.api.schemas.answers import ErrorBody, Read
from serving.cards import Task


class Price(Read):
    """Dollars per million tokens."""

    prompt: float
    completion: float


class ModelRead(Read):
    """A model or a recipe."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str = Field(description="Id of the model that a LoRA adapter changes; of all others their own.")
    parent: str | None = Field(description="As `root`, and null if this is no LoRA adapter.")
    kind: Literal["model", "recipe"]
    max_model_len: int | None = Field(description="Context in tokens.")
    description: str
    modalities: list[Literal["text", "image"]] = Field(
        description="What is read in messages; of a recipe by any model."
    )
    task: Task = Field(description="Requests that it answers; `embed` models also rank.")
    thinking: bool = Field(description="True if requests may change the reasoning of its answers.")
    tools: bool = Field(description="True if requests may have tools.")
    usd_per_million_tokens: Price | None = Field(description="Dollars per million tokens, as the operator set them.")
    alias_of: str = Field(default="", description="Id of the model or recipe that this alias stands for.")


class ModelDetails(ModelRead):
    """A model or a recipe, with its settings."""

    settings: dict[str, dict[str, Any]] = Field(
        description="JSON schemas of the settings that a request may change in `moa`, with the recipe's values as"
        " defaults; a model has none."
    )


class ModelList(Read):
    """All models, recipes and aliases."""

    object: Literal["list"]
    data: list[ModelRead]


class Health(Read):
    """The process runs."""

    status: Literal["ok"]


class ReadyBody(Read):
    """Every engine answers."""

    status: Literal["ready"]
    engines: list[str] = Field(default=[], description="Ids of the models and recipes; left out without a key.")
    store: dict[str, bool] = Field(
        default={},
        description="For each part of the store whether it can be reached; answers do not need it. Left out without a"
        " key.",
    )


class NotReadyBody(ErrorBody):
    """Some engines do not answer."""

    failing: dict[str, str] = Field(default={}, description="Reason by model; left out without a key.")


class Versions(BaseModel):
    """Versions of the server and its libraries."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]

    version: str
    python: str
