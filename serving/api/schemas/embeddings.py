"""Body and answer of `POST /v1/embeddings`. Every field is applied or refused by name; none is ignored.

Names follow OpenAI's reference. `truncate_prompt_tokens` and `priority` are vLLM's extensions.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from serving.api.schemas.answers import Read
from serving.api.schemas.chat_fields import INT32_MAX
from serving.api.schemas.wire import Json, Wire
from serving.tenant import PRIORITIES

TEXT: Json = {"type": "string", "minLength": 1}
TOKENS: Json = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": INT32_MAX}}
# Checked in `serving.api.dialects.embeddings_requests`: pydantic's unions name their members in errors' paths.
INPUT: Json = {
    "anyOf": [
        TEXT,
        TOKENS,
        {"type": "array", "minItems": 1, "items": TEXT},
        {"type": "array", "minItems": 1, "items": TOKENS},
    ]
}
TRUNCATE: Json = {"not": {"const": 0}}


class EmbeddingsBody(Wire):
    """A request for embeddings."""

    neutral = {"add_special_tokens": (True,)}

    model: str = Field(min_length=1, max_length=256, description="Id of a model whose task is `embed`.")
    input: Annotated[Any, WithJsonSchema(INPUT)] = Field(
        description="A text, the token ids of one (numbers of the model's own tokenizer), or a list of either.",
    )
    encoding_format: Literal["float", "base64"] = Field(
        default="float",
        description="Form of each embedding: `float`, a list of numbers, or `base64`, of little-endian float32.",
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        le=INT32_MAX,
        description="Length of the vectors, for models with Matryoshka embeddings. Default: the model's own.",
    )
    user: str | None = Field(
        default=None, max_length=512, description="The caller's name for its user; written to the request log only."
    )
    truncate_prompt_tokens: int | None = Field(
        default=None,
        ge=-1,
        le=INT32_MAX,
        json_schema_extra=TRUNCATE,
        description="vLLM extension: cut what the model reads (an input; of a ranking a query with its document, or"
        " each text by itself) after so many tokens; -1: to the model's context. Default: text that"
        " does not fit is refused.",
    )
    priority: int = Field(
        default=0,
        ge=0,
        le=PRIORITIES - 1,
        description="vLLM extension: the engine runs requests with lower values earlier, within the class of the"
        " caller's key.",
    )


class PoolingUsage(Read):
    """Tokens that the model has read."""

    prompt_tokens: int
    total_tokens: int


class Embedding(Read):
    """One embedding."""

    object: Literal["embedding"]
    index: int = Field(description="Position of the input.")
    embedding: list[float] | str


class EmbeddingList(Read):
    """The embeddings, in the order of the inputs."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[Embedding]
    usage: PoolingUsage
