"""Engines around engines whose requests have spans in a trace: recipes, and calls of models."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from serving.engine import Engine, EngineWrapper
from serving.engines.traced_texts import TracedTexts
from serving.telemetry import StreamOutcome
from serving.tracing.attributes import (
    call_attributes,
    call_end,
    error_of,
    operation,
    workflow_attributes,
    workflow_end,
)
from serving.tracing.spans import Tracer
from serving.types import Delta, GenerateRequest, Timing


class TracedEngine(EngineWrapper):
    """Passes everything to `engine`; a request whose trace is recorded gets a span."""

    def __init__(self, name: str, engine: Engine, tracer: Tracer) -> None:
        """Start spans of requests to the id `name` by `tracer`."""
        super().__init__(name, engine)
        self.tracer = tracer

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the engine's answer; without a span it is the engine's own stream. Raises what the engine raises."""
        if request.trace is None or not request.trace.sampled:
            return self.engine.generate(request)
        return self._traced(request)

    @abstractmethod
    def _traced(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The engine's stream, and its span."""


class TracedRecipe(TracedEngine):
    """A recipe whose runs have spans (`invoke_workflow`)."""

    async def _traced(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        attributes = workflow_attributes(self.name, request)
        span = self.tracer.start(f"invoke_workflow {self.name}", request.trace, attributes)
        below = request if span is None else replace(request, trace=span.context)
        outcome, report = StreamOutcome(), None
        try:
            with outcome:
                async with aclosing(self.engine.generate(below)) as stream:
                    async for delta in stream:
                        outcome.add(delta)
                        report = delta.report or report
                        yield delta
        finally:
            if span is not None:
                span.set(workflow_end(outcome, report))
                span.end(error_of(outcome))


class TracedModel(TracedEngine):
    """A model whose calls have spans (`chat`)."""

    async def _traced(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        attributes = call_attributes(self.name, self.info.provider, request)
        span = self.tracer.start(f"{operation(request)} {self.name}", request.trace, attributes, kind="client")
        below = request if span is None else replace(request, trace=span.context)
        texts = TracedTexts(request) if self.tracer.captures_texts else None
        outcome = StreamOutcome()
        reasons: dict[int, str] = {}
        timing: Timing | None = None
        shortened = 0
        try:
            with outcome:
                async with aclosing(self.engine.generate(below)) as stream:
                    async for delta in stream:
                        outcome.add(delta)
                        if delta.finish_reason is not None:
                            reasons[delta.index] = delta.finish_reason
                        if delta.terminal:
                            timing, shortened = delta.timing, delta.shortened
                        if texts is not None:
                            texts.add(delta)
                        yield delta
        finally:
            if span is not None:
                span.set(call_end(self.name, outcome, [reasons[index] for index in sorted(reasons)], timing, shortened))
                if texts is not None:
                    span.set(texts.attributes())
                span.end(error_of(outcome))
