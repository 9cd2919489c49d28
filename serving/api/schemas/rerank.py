"""Body and answer of `POST /v1/rerank`. Every field is applied or refused by name; none is ignored.

Names follow Jina's and Cohere's references; `truncate_prompt_tokens` and `priority` are vLLM's extensions.
"""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from serving.api.schemas.answers import Read
from serving.api.schemas.chat_fields import INT32_MAX
from serving.api.schemas.embeddings import TEXT, EmbeddingsBody, PoolingUsage
from serving.api.schemas.wire import Json, Wire

TEXT_OBJECT: Json = {
    "type": "object",
    "properties": {"text": TEXT},
    "required": ["text"],
    "additionalProperties": False,
}
# Checked in `serving.api.dialects.rerank_requests`.
DOCUMENTS: Json = {"type": "array", "minItems": 1, "items": {"anyOf": [TEXT, TEXT_OBJECT]}}


def _as_for_embeddings(name: str) -> Any:
    """Field of the same name in requests for embeddings."""
    return EmbeddingsBody.model_fields[name]


class RerankBody(Wire):
    """A request to rank documents."""

    neutral = {"max_chunks_per_doc": (), "rank_fields": (["text"],), "return_embeddings": (False,)}

    model: str = Field(min_length=1, max_length=256, description="Id of a model whose task is `rerank` or `embed`.")
    query: str = Field(min_length=1, description="Text that the documents are compared with.")
    documents: Annotated[Any, WithJsonSchema(DOCUMENTS)] = Field(
        description='The documents: texts, or objects with a `text` (`{"text": "..."}`).',
    )
    top_n: int | None = Field(
        default=None,
        ge=1,
        le=INT32_MAX,
        description="Number of results, the most relevant ones. Default: all documents.",
    )
    return_documents: bool = Field(default=False, description="Add the document's text to each result.")
    max_tokens_per_doc: int | None = Field(
        default=None,
        ge=1,
        le=INT32_MAX,
        description="Cut each document after so many tokens. Default: documents stay whole.",
    )
    user: str | None = _as_for_embeddings("user")
    truncate_prompt_tokens: int | None = _as_for_embeddings("truncate_prompt_tokens")
    priority: int = _as_for_embeddings("priority")


class RankedText(Read):
    """A document."""

    text: str


class RerankResult(Read):
    """One document's place."""

    index: int = Field(description="Position among the request's documents.")
    relevance_score: float
    document: RankedText | None = Field(default=None, description="Present with `return_documents`.")


class Ranking(Read):
    """The most relevant documents, best first."""

    id: str
    model: str
    results: list[RerankResult]
    usage: PoolingUsage
