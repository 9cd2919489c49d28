"""Models that compute vectors or scores and no text: their requests, their results and their interface.

Such a model is a `PoolingEngine` and no `Engine`: it has no stream, no tools and no answer that a recipe could use.
vLLM calls its runner "pooling". A vLLM replica behind a handle and a scripted engine are pooling engines.

Rules:

* A result has one entry per input or document, in their order.
* Cancelling the call ends the work down to the engine.
* Errors are raised, as `serving.errors`; those about one input name it ("input[3]", "documents[0]", "query").
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from serving.tenant import ANYONE, Tenant
from serving.trace_context import TraceContext

PoolingTask = Literal["embed", "rerank"]
Input = str | tuple[int, ...]  # a text, or the token ids of one
TO_CONTEXT = -1  # of `truncate_tokens`: cut to the model's context


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Inputs to embed, each by itself."""

    request_id: str
    inputs: tuple[Input, ...]
    dimensions: int | None = None  # None: the model's own
    truncate_tokens: int | None = None  # inputs are cut to so many tokens; None: one that does not fit is an error
    priority: int = 0  # as in vLLM: lower runs earlier
    deadline_s: float | None = None  # None: the engine's own limit
    user: str | None = None
    tenant: Tenant = ANYONE
    trace: TraceContext | None = field(default=None, compare=False, repr=False)  # span below which the call belongs


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Documents to score by their relevance to a query."""

    request_id: str
    query: str
    documents: tuple[str, ...]
    document_tokens: int | None = None  # documents are cut to so many tokens; None: they stay whole
    truncate_tokens: int | None = None  # prompts are cut to so many tokens; None: one that does not fit is an error
    priority: int = 0
    deadline_s: float | None = None
    user: str | None = None
    tenant: Tenant = ANYONE
    trace: TraceContext | None = field(default=None, compare=False, repr=False)  # span below which the call belongs


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings: little-endian float32 values, as base64 in OpenAI's API has them."""

    data: tuple[bytes, ...]
    prompt_tokens: int  # of all inputs


@dataclass(frozen=True, slots=True)
class Scores:
    """Relevance of each document; higher is better."""

    values: tuple[float, ...]
    prompt_tokens: int  # of all prompts that the model has read


@dataclass(frozen=True, slots=True)
class PoolingInfo:
    """Properties of a pooling engine."""

    task: PoolingTask  # "embed": vectors, and scores as their cosine; "rerank": scores alone
    context_tokens: int | None = None  # None: unknown


class PoolingEngine(Protocol):
    """A model that computes vectors or scores."""

    @property
    def info(self) -> PoolingInfo:
        """Properties of this engine; constant while it runs."""
        ...

    async def embed(self, request: EmbedRequest) -> Vectors:
        """Embed each input. Only for an engine whose task is "embed". Raises `serving.errors.MoaError`."""
        ...

    async def rerank(self, request: RerankRequest) -> Scores:
        """Score each document. Raises `serving.errors.MoaError`."""
        ...

    async def check_health(self) -> None:
        """Return when the engine is warm and answers; raise `EngineUnavailable` otherwise."""
        ...
