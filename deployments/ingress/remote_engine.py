"""A deployment's handle as an `Engine`."""

import asyncio
import math
import pickle
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ray.exceptions import RayActorError, RayError, RaySystemError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from deployments.wire import unpack
from serving.errors import DeadlineExceeded, EngineFailed, EngineUnavailable, IncompleteGeneration, MoaError, Overloaded
from serving.types import Delta, GenerateRequest

HEALTH_S = 5.0
RECENT_S = 30.0  # how long an answer shows that a deployment works which has no room for a question about it


class RemoteEngine:
    """A model's deployment. A call always has a deadline: Serve itself waits forever for a replica."""

    def __init__(self, model: str, handle: DeploymentHandle[Any], *, deadline_s: float, replicas: int = 1) -> None:
        """`deadline_s` holds for requests without one of their own; there are always at least so many `replicas`."""
        self.model, self.replicas = model, replicas
        self._deadline_s = deadline_s
        # By value: by reference each item would become an object in Ray's store.
        self._generate = handle.options(method_name="generate", stream=True, _by_reference=False)
        self._calls = handle.options(_by_reference=False)
        self._answered_at = -math.inf  # when it last gave anything; not since it was last seen to be gone

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The model's stream. A replica that goes away before it has given anything is replaced by another, once."""
        deadline_s = self._deadline_s if request.deadline_s is None else request.deadline_s
        ends_at = asyncio.get_running_loop().time() + deadline_s
        begun = False
        try:
            async with aclosing(self._attempt(request, deadline_s, ends_at)) as deltas:
                async for delta in deltas:
                    begun = True
                    yield delta
            return
        except EngineUnavailable:
            if begun:
                raise
        again = replace(request, request_id=f"{request.request_id}-again")
        async with aclosing(self._attempt(again, deadline_s, ends_at)) as deltas:
            async for delta in deltas:
                yield delta

    async def _attempt(
        self, request: GenerateRequest, deadline_s: float, ends_at: float
    ) -> AsyncGenerator[Delta, None]:
        response: Any = self._generate.remote(request)
        items = aiter(response)
        loop = asyncio.get_running_loop()
        ended = False
        try:
            while not ended:
                try:
                    # Around the wait alone: a timeout that spans a yield would strike whoever consumes the stream.
                    async with asyncio.timeout_at(ends_at):
                        item = await anext(items)
                except StopAsyncIteration:
                    raise IncompleteGeneration(self.model) from None
                except TimeoutError:
                    raise DeadlineExceeded(f"'{self.model}'", deadline_s) from None
                self._answered_at = loop.time()
                for packed in pickle.loads(item) if isinstance(item, bytes) else item:
                    delta = unpack(packed)
                    ended = delta.terminal
                    yield delta
        except Exception as error:
            known = translated(self.model, error)
            if isinstance(known, EngineUnavailable):
                self._answered_at = -math.inf
            if known is error:
                raise
            raise known from error
        finally:
            if not ended:
                response.cancel()  # leaving the loop does not

    async def check_health(self) -> None:
        """Whether some replica answers. One that has too much to do for this question has shown that it does.

        Raises `EngineUnavailable`.
        """
        try:
            await asyncio.wait_for(self._calls.stats.remote(), HEALTH_S)
        except TimeoutError:
            if asyncio.get_running_loop().time() - self._answered_at >= RECENT_S:
                raise EngineUnavailable(self.model) from None
        except Exception as error:
            known = translated(self.model, error)
            if isinstance(known, Overloaded):
                return
            if known is error:
                raise
            raise known from error


def translated(model: str, error: BaseException) -> MoaError:
    """Any error of Ray's or a replica's, as one of ours."""
    if isinstance(error, MoaError):
        return error
    if isinstance(error, RayTaskError):
        cause = error.cause
        return translated(model, cause) if cause is not None and cause is not error else _failed(model, error)
    if isinstance(error, BackPressureError):
        return Overloaded(f"'{model}' has as many requests waiting as it may; retry later.")
    if isinstance(error, TaskCancelledError | RequestCancelledError):
        return EngineUnavailable(model, "the call was cancelled while its replica stopped")
    if isinstance(error, DeploymentUnavailableError):
        return EngineUnavailable(model, "its replicas cannot be started")
    if isinstance(error, RayActorError | RaySystemError):
        return EngineUnavailable(model, "its replica went away")
    if isinstance(error, RayError | RayServeException):
        return EngineUnavailable(model, f"{type(error).__name__} on the way to its replica")
    return _failed(model, error)


def _failed(model: str, error: BaseException) -> EngineFailed:
    text = " ".join(str(error).split()).rstrip(".")
    return EngineFailed(model, f"{type(error).__name__}: {text}" if text else type(error).__name__)
