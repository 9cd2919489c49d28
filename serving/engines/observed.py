"""An engine that reports its requests to an observer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from serving.engine import Engine
from serving.telemetry import Observer, RequestEnd, StreamOutcome
from serving.types import Delta, GenerateRequest


class ObservedEngine:
    """An engine whose requests are told to an observer."""

    def __init__(self, name: str, kind: Literal["model", "recipe"], engine: Engine, observer: Observer) -> None:
        self.name, self.kind, self.engine, self.observer = name, kind, engine, observer

    async def check_health(self) -> None:
        await self.engine.check_health()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
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
                    outcome.word,
                    outcome.degraded,
                    outcome.usage,
                    outcome.ttft_s,
                    outcome.total_s,
                )
            )
