"""An engine that computes a bounded number of calls at once, ordered as a model's replica orders them.

With scripted engines behind it, tests and scale runs see what callers of a busy server see.
"""

import asyncio
import heapq
from collections.abc import AsyncGenerator
from contextlib import aclosing

from serving.engine import Engine, EngineWrapper
from serving.engines.scripted_tokens import prompt_tokens
from serving.runtime.fair_queue import FairQueue
from serving.types import Delta, GenerateRequest


class QueuedEngine(EngineWrapper):
    """Computes at most `sequences` calls of `engine` at once; the others wait, those of the lowest rank first."""

    def __init__(self, name: str, engine: Engine, sequences: int) -> None:
        """Queue the calls of `engine`, whose id is `name`."""
        super().__init__(name, engine)
        self.queue = FairQueue(sequences, lambda: asyncio.get_running_loop().time())
        self.sequences = sequences
        self.running = 0
        self._arrived = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the engine's answer once it is the call's turn. Raises what the engine raises."""
        turn = self.queue.turn(
            request.tenant.id,
            request.priority,
            sequences=request.sampling.n,
            prompt_tokens=prompt_tokens(request.messages),
        )
        tokens: int | None = None
        try:
            await turn.enter()
            await self._start(turn.rank)
            try:
                async with aclosing(self.engine.generate(request)) as stream:
                    async for delta in stream:
                        if delta.usage is not None:
                            tokens = delta.usage.completion_tokens
                        yield delta
            finally:
                self._end()
        finally:
            turn.leave(tokens)

    async def _start(self, rank: int) -> None:
        if self.running < self.sequences:
            self.running += 1
            return
        self._arrived += 1
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, self._arrived, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._end()
            raise

    def _end(self) -> None:
        """Give the place to the next call that waits."""
        while self._waiting:
            *_, place = heapq.heappop(self._waiting)
            if not place.done():
                place.set_result(None)
                return
        self.running -= 1
