"""A pooling engine that reports its requests to an observer."""

from collections.abc import Awaitable
from typing import TypeVar

from serving.failures import engine_failures
from serving.pooling import EmbedRequest, PoolingEngine, PoolingInfo, RerankRequest, Scores, Vectors
from serving.telemetry import Observer, RequestEnd, StreamOutcome
from serving.usage import TokenUsage

Result = TypeVar("Result", Vectors, Scores)


class ObservedPoolingEngine(PoolingEngine):
    """Passes everything to `engine` and reports the start and the end of each request.

    Whatever the engine raises is its failure: all methods raise `MoaError`.
    """

    def __init__(self, name: str, engine: PoolingEngine, observer: Observer) -> None:
        """Report requests to `engine` as those of the model id `name`."""
        self.name, self.engine, self.observer = name, engine, observer

    @property
    def info(self) -> PoolingInfo:
        return self.engine.info

    async def embed(self, request: EmbedRequest) -> Vectors:
        return await self._observed(self.engine.embed(request))

    async def rerank(self, request: RerankRequest) -> Scores:
        return await self._observed(self.engine.rerank(request))

    async def check_health(self) -> None:
        with engine_failures(self.name):
            await self.engine.check_health()

    async def _observed(self, computing: Awaitable[Result]) -> Result:
        outcome = StreamOutcome()
        self.observer.request_started(self.name)
        try:
            with outcome, engine_failures(self.name):
                result = await computing
                outcome.end(TokenUsage(result.prompt_tokens))
                return result
        finally:
            self.observer.request_ended(
                RequestEnd(self.name, "model", outcome.code, False, outcome.usage, None, outcome.total_s)
            )
