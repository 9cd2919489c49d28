"""A pooling engine whose calls have spans in a trace."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from serving.pooling import EmbedRequest, PoolingEngine, PoolingInfo, RerankRequest, Scores, Vectors
from serving.telemetry import StreamOutcome
from serving.tracing.attributes import error_of, pooling_attributes, pooling_end
from serving.tracing.spans import Tracer
from serving.usage import TokenUsage

Asked = TypeVar("Asked", EmbedRequest, RerankRequest)
Result = TypeVar("Result", Vectors, Scores)


class TracedPooling(PoolingEngine):
    """Passes everything to `engine`; a request whose trace is recorded gets a span (`embeddings`, `rerank`)."""

    def __init__(self, name: str, engine: PoolingEngine, tracer: Tracer) -> None:
        """Start spans of requests to the model id `name` by `tracer`."""
        self.name, self.engine, self.tracer = name, engine, tracer

    @property
    def info(self) -> PoolingInfo:
        return self.engine.info

    async def embed(self, request: EmbedRequest) -> Vectors:
        return await self._traced("embeddings", self.engine.embed, request)

    async def rerank(self, request: RerankRequest) -> Scores:
        return await self._traced("rerank", self.engine.rerank, request)

    async def check_health(self) -> None:
        await self.engine.check_health()

    async def _traced(self, operation: str, compute: Callable[[Asked], Awaitable[Result]], request: Asked) -> Result:
        attributes = pooling_attributes(operation, self.name, request)
        span = self.tracer.start(f"{operation} {self.name}", request.trace, attributes, kind="client")
        if span is None:
            return await compute(request)
        outcome = StreamOutcome()
        try:
            with outcome:
                result = await compute(replace(request, trace=span.context))
                outcome.end(TokenUsage(result.prompt_tokens))
                return result
        finally:
            span.set(pooling_end(outcome))
            span.end(error_of(outcome))
