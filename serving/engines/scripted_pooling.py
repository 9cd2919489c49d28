"""A deterministic pooling engine: vectors that count words, for tests and demonstrations."""

import asyncio
import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.errors import EngineUnavailable, InputTooLong, InvalidRequest, MoaError, UnsupportedField
from serving.pooling import (
    TO_CONTEXT,
    EmbedRequest,
    Input,
    PoolingEngine,
    PoolingInfo,
    PoolingTask,
    RerankRequest,
    Scores,
    Vectors,
)


@dataclass
class ScriptedPoolingEngine(PoolingEngine):
    """Texts that share words have similar vectors. A word, or a token id, is one token.

    The vector counts the tokens in `dimensions` buckets and has the length 1; a score is the cosine of two vectors.
    `requests` records the calls in order.
    """

    model: str = "scripted"
    task: PoolingTask = "embed"
    dimensions: int = 8
    context_tokens: int = 1_000_000
    matryoshka: bool = False  # shorter vectors can be asked for
    delay_s: float = 0.0
    error: MoaError | None = None
    healthy: bool = True
    running: int = 0
    requests: list[EmbedRequest | RerankRequest] = field(default_factory=list)

    @property
    def info(self) -> PoolingInfo:
        return PoolingInfo(self.task, self.context_tokens)

    async def embed(self, request: EmbedRequest) -> Vectors:
        """Embed each input.

        Raises:
            InputTooLong: an input has more than `context_tokens` tokens.
            UnsupportedField: other dimensions are asked for, and the engine is not `matryoshka`.
            InvalidRequest: more dimensions are asked for than the engine has.
            MoaError: the scripted `error`.
        """
        await self._work(request)
        size = request.dimensions or self.dimensions
        if size != self.dimensions and not self.matryoshka:
            raise UnsupportedField("dimensions", f"'{self.model}' has no Matryoshka embeddings")
        if size > self.dimensions:
            raise InvalidRequest(f"Set 'dimensions' to at most {self.dimensions}, not {size}.", "dimensions")
        given = [
            self._tokens(one, f"input[{index}]", request.truncate_tokens) for index, one in enumerate(request.inputs)
        ]
        vectors = [_vector(tokens, self.dimensions)[:size] for tokens in given]
        data = tuple(struct.pack(f"<{size}f", *_normalized(vector)) for vector in vectors)
        return Vectors(data, sum(map(len, given)))

    async def rerank(self, request: RerankRequest) -> Scores:
        """Score each document. Raises as `embed`."""
        await self._work(request)
        query = self._tokens(request.query, "query", request.truncate_tokens)
        documents = [
            self._tokens(document, f"documents[{index}]", request.truncate_tokens)[: request.document_tokens]
            for index, document in enumerate(request.documents)
        ]
        asked = _normalized(_vector(query, self.dimensions))
        vectors = [_normalized(_vector(tokens, self.dimensions)) for tokens in documents]
        scores = tuple(sum(a * b for a, b in zip(asked, vector, strict=True)) for vector in vectors)
        return Scores(scores, len(query) + sum(map(len, documents)))

    async def check_health(self) -> None:
        if not self.healthy:
            raise EngineUnavailable(self.model, "scripted to be unhealthy")

    async def _work(self, request: EmbedRequest | RerankRequest) -> None:
        self.requests.append(request)
        self.running += 1
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error

    def _tokens(self, given: Input, field: str, truncate: int | None) -> list[str]:
        tokens = given.split() if isinstance(given, str) else [str(token) for token in given]
        if truncate is not None:
            tokens = tokens[: self.context_tokens if truncate == TO_CONTEXT else truncate]
        if len(tokens) > self.context_tokens:
            raise InputTooLong(self.model, field, len(tokens), self.context_tokens)
        return tokens


def _vector(tokens: Sequence[str], size: int) -> list[float]:
    vector = [0.0] * size
    for token in tokens:
        digest = hashlib.blake2b(token.encode(errors="replace"), digest_size=4).digest()
        vector[int.from_bytes(digest) % size] += 1.0
    return vector


def _normalized(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]
