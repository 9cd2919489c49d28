"""Engines around engines: one whose exceptions are all errors of this project, one that reports its requests."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from serving.engine import Engine, EngineWrapper
from serving.failures import engine_failures
from serving.telemetry import Observer, RequestEnd, StreamOutcome
from serving.types import Delta, GenerateRequest, Tokens


class GuardedEngine(EngineWrapper):
    """Passes everything to `engine`, the adapter of a model; what it raises is that model's failure and no more.

    All methods raise `EngineFailed` for an exception that is no `MoaError`, after it has been logged.
    """

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the engine's answer. Raises `MoaError`."""
        with engine_failures(self.name):
            async with aclosing(self.engine.generate(request)) as stream:
                async for delta in stream:
                    yield delta

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        with engine_failures(self.name):
            await self.engine.prefill(request, marker)

    async def count_tokens(self, request: GenerateRequest) -> int:
        with engine_failures(self.name):
            return await self.engine.count_tokens(request)

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        with engine_failures(self.name):
            return await self.engine.tokenize(request, texts=texts)

    async def detokenize(self, token_ids: tuple[int, ...]) -> str:
        with engine_failures(self.name):
            return await self.engine.detokenize(token_ids)

    async def check_health(self) -> None:
        with engine_failures(self.name):
            await self.engine.check_health()


class ObservedEngine(EngineWrapper):
    """Passes everything to `engine` and reports the start and the end of each request."""

    def __init__(self, name: str, kind: Literal["model", "recipe"], engine: Engine, observer: Observer) -> None:
        """Report requests to `engine` as those of the id `name`."""
        super().__init__(name, engine)
        self.kind, self.observer = kind, observer

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the engine's answer. Raises what the engine raises."""
        outcome = StreamOutcome()
        self.observer.request_started(self.name)
        try:
            with outcome:
                async with aclosing(self.engine.generate(request)) as stream:
                    async for delta in stream:
                        outcome.add(delta)
                        yield delta
        finally:
            self.observer.request_ended(
                RequestEnd(
                    self.name,
                    self.kind,
                    outcome.code,
                    outcome.degraded,
                    outcome.usage,
                    outcome.ttft_s,
                    outcome.total_s,
                    outcome.answer_tokens,
                )
            )
