"""A model by itself, as callers ask for it by its own id."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from serving.dispatch import LAYERS_APART
from serving.engine import Engine
from serving.sharing import SharedCalls
from serving.types import Delta, GenerateRequest


class PlainModel:
    """Its requests stand in an engine's line with the first layers of recipes of the same `priority`.

    Whole answers that must come out the same are computed once for all who wait for them.
    """

    def __init__(self, name: str, engine: Engine, shared: SharedCalls) -> None:
        self.name, self.engine, self.shared = name, engine, shared

    async def check_health(self) -> None:
        await self.engine.check_health()

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The engine's own stream where tokens are watched: a generator around it would be paid with every token."""
        request = replace(request, priority=request.priority * LAYERS_APART)
        if request.watched or not request.sampling.deterministic:
            return self.engine.generate(request)
        return self._shared(request)

    async def _shared(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        done = await self.shared.complete(self.name, self.engine, request)
        [choice] = done.choices  # deterministic sampling has but one
        yield Delta(choice.text, 0, choice.logprobs, choice.finish_reason, done.usage, done.timing)
