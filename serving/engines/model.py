"""A model by itself, as callers ask for it by its own id."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from serving.engine import Engine
from serving.runtime.context import LAYERS_APART
from serving.runtime.single_flight import SingleFlight
from serving.types import AgentTrace, Delta, GenerateRequest, Report, Timing


class PlainModel:
    """Its requests stand in an engine's line with the first layers of recipes of the same `priority`.

    Whole answers that must come out the same are computed once for all who wait for them.
    """

    def __init__(self, name: str, engine: Engine, shared: SingleFlight) -> None:
        self.name, self.engine, self.shared = name, engine, shared

    async def check_health(self) -> None:
        await self.engine.check_health()

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The engine's own stream where tokens are watched: a generator around it would be paid with every token."""
        request = replace(request, priority=request.priority * LAYERS_APART)
        if request.streaming or not request.sampling.deterministic:
            return self.engine.generate(request)
        return self._shared(request)

    async def _shared(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        done = await self.shared.complete(self.name, self.engine, request)
        [choice] = done.choices  # deterministic sampling has but one
        yield Delta(choice.text, 0, choice.logprobs, choice.finish_reason, done.usage, done.timing)


async def traced(model: str, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """`stream`, with a report of the model's own text (the first choice's), usage and timing on its terminal delta."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    pieces: list[str] = []
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            if delta.index == 0:
                pieces.append(delta.text)
            if delta.usage is not None and delta.report is None:
                agent = AgentTrace(
                    layer=1,
                    agent=0,
                    role="model",
                    model=model,
                    outcome="ok",
                    text="".join(pieces),
                    usage=delta.usage,
                    elapsed_s=loop.time() - began,
                    timing=delta.timing or Timing(),
                )
                delta = replace(delta, report=Report(model, False, (), (agent,)))
            yield delta
