"""JSON of the server's models and status, for `/openapi.json`: what clients read."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.api.schemas.answers import ErrorBody, Read


class ModelRead(Read):
    """A model or a recipe."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    kind: Literal["model", "recipe"]
    max_model_len: int | None = Field(description="Context in tokens.")
    description: str
    modalities: list[Literal["text", "image"]] = Field(
        description="What is read in messages; of a recipe by any model."
    )


class ModelList(Read):
    """All models and recipes."""

    object: Literal["list"]
    data: list[ModelRead]


class Health(Read):
    """The process runs."""

    status: Literal["ok"]


class ReadyBody(Read):
    """Every engine answers."""

    status: Literal["ready"]
    engines: list[str]


class NotReadyBody(ErrorBody):
    """Some engines do not answer."""

    failing: dict[str, str] = Field(description="Reason by model.")


class Versions(BaseModel):
    """Versions of the server and its libraries."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]

    version: str
    python: str
