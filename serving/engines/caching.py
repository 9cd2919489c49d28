"""An engine with a prefix cache, as vLLM has one: with scripted engines behind it, tests see what a cache tells."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from itertools import takewhile
from operator import eq

from serving.engine import Engine, EngineWrapper
from serving.engines.scripted_tokens import words
from serving.runtime.prompts import prompt_messages
from serving.types import Delta, GenerateRequest


class CachingEngine(EngineWrapper):
    """Takes the time of a prompt's tokens that no earlier prompt of the same salt began with, and counts the others."""

    def __init__(self, name: str, engine: Engine, prefill_tokens_per_s: float) -> None:
        """Cache the prompts of `engine`, whose id is `name`."""
        super().__init__(name, engine)
        self._prefill_tokens_per_s = prefill_tokens_per_s
        self._prompts: dict[str | None, list[list[str]]] = defaultdict(list)  # by salt; none is ever dropped

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the engine's answer after its prompt. Raises what the engine raises."""
        cached = await self._read(request)
        async with aclosing(self.engine.generate(request)) as stream:
            async for delta in stream:
                if delta.usage is not None:
                    delta = replace(delta, usage=replace(delta.usage, cached_tokens=cached))
                yield delta

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        """Compute the prompt up to `marker`."""
        await self._read(request, marker)

    async def _read(self, request: GenerateRequest, marker: str | None = None) -> int:
        """Take the time of the prompt; the number of its tokens that are cached."""
        text = "\n".join(f"{message.role} {message.content}" for message in prompt_messages(request))
        prompt = words(text if marker is None else text.partition(marker)[0])
        known = self._prompts[request.prefix_salt]
        cached = max((_common(prompt, one) for one in known), default=0)
        await asyncio.sleep((len(prompt) - cached) / self._prefill_tokens_per_s)
        known.append(prompt)
        return cached


def _common(one: list[str], other: list[str]) -> int:
    """Number of tokens with which both begin."""
    return sum(takewhile(bool, map(eq, one, other)))
