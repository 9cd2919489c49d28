"""Start of a model that has no replica while it has no requests (`replicas.min: 0`).

Serve itself would have each call wait for the replica, which takes minutes. Here a call starts it and fails at once, or
after `wait_s`: a recipe goes on without the model and says so, a client of the model gets 503 with `retry-after`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.ingress.remote_engine import translated
from deployments.ingress.running_replicas import RunningReplicas
from serving.engine import Engine, EngineWrapper
from serving.errors import EngineUnavailable
from serving.pooling import EmbedRequest, PoolingEngine, PoolingInfo, RerankRequest, Scores, Vectors
from serving.types import Delta, GenerateRequest, Tokens

logger = logging.getLogger("serving.deployments")
START_LIMIT_S = 3600.0  # longest start that is waited for: a node, its image, the weights
RETRY_AFTER_S = 30.0


class ColdStart:
    """Starts the first replica of one model when it is needed."""

    def __init__(
        self, model: str, handle: DeploymentHandle[Any], running: RunningReplicas, *, wait_s: float = 0.0
    ) -> None:
        """Start replicas of `model`, the deployment of `handle`; a call waits for one for up to `wait_s`."""
        self.model = model
        self._handle = handle.options(_by_reference=False)
        self._running, self._wait_s = running, wait_s
        self._starting: asyncio.Task[None] | None = None

    async def asleep(self) -> bool:
        """True if the model has no replica. An unknown number counts as some."""
        return await self._running.of(self._handle) == 0

    async def awaited(self, name: str) -> None:
        """Return if a replica runs, or did within `wait_s`; else leave one starting.

        Args:
            name: the model that was asked: this one, or an adapter of its replicas. For errors.

        Raises:
            EngineUnavailable: none runs yet, or none can be started.
        """
        if not await self.asleep():
            return
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(self._started)
        starting = self._starting
        if self._wait_s:
            await asyncio.wait({starting}, timeout=self._wait_s)
        if not starting.done():
            why = "it has no replica while it has no requests, and one is being started"
            raise EngineUnavailable(name, why, RETRY_AFTER_S, retriable=False)
        if (error := starting.exception()) is not None:
            raise translated(name, error)

    async def _start(self) -> None:
        """Keep one request waiting until it is answered: by it Serve's autoscaler knows that a replica is needed."""
        response: Any = self._handle.stats.remote()
        answered = False
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await response
            answered = True
        finally:
            self._running.forget()
            if not answered:
                response.cancel()  # leaving does not

    def _started(self, task: "asyncio.Task[None]") -> None:
        self._starting = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("no replica of '%s' could be started: %s", self.model, translated(self.model, error))


class ColdStartEngine(EngineWrapper):
    """An engine whose calls need a running replica; without one it is healthy, but not available at once."""

    def __init__(self, name: str, engine: Engine, start: ColdStart) -> None:
        """Wrap `engine`, which callers know by the id `name`."""
        super().__init__(name, engine)
        self._start = start

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the answer. Raises as the engine, and as `ColdStart.awaited`."""
        await self._start.awaited(self.name)
        async with aclosing(self.engine.generate(request)) as stream:
            async for delta in stream:
                yield delta

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        await self._start.awaited(self.name)
        await super().prefill(request, marker)

    async def count_tokens(self, request: GenerateRequest) -> int:
        await self._start.awaited(self.name)
        return await super().count_tokens(request)

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        await self._start.awaited(self.name)
        return await super().tokenize(request, texts=texts)

    async def detokenize(self, token_ids: tuple[int, ...]) -> str:
        await self._start.awaited(self.name)
        return await super().detokenize(token_ids)

    async def check_health(self) -> None:
        """Check a running replica. Starts none: the question whether the server is ready must not keep it awake."""
        if not await self._start.asleep():
            await super().check_health()


class ColdStartPooling(PoolingEngine):
    """`ColdStartEngine` for a model that embeds or ranks."""

    def __init__(self, engine: PoolingEngine, start: ColdStart) -> None:
        """Wrap `engine`."""
        self.engine, self._start = engine, start

    @property
    def info(self) -> PoolingInfo:
        return self.engine.info

    async def embed(self, request: EmbedRequest) -> Vectors:
        await self._start.awaited(self._start.model)
        return await self.engine.embed(request)

    async def rerank(self, request: RerankRequest) -> Scores:
        await self._start.awaited(self._start.model)
        return await self.engine.rerank(request)

    async def check_health(self) -> None:
        """Check a running replica; as in `ColdStartEngine`."""
        if not await self._start.asleep():
            await self.engine.check_health()
