"""An engine that reports its requests to an observer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from serving.engine import Engine, EngineWrapper
from serving.telemetry import Observer, RequestEnd, StreamOutcome
from serving.types import Delta, GenerateRequest


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
                )
            )
