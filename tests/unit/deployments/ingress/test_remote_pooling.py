"""A deployment's handle as a pooling engine: results, losses, deadlines, cancellation."""

import asyncio
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError

from deployments.ingress.remote_pooling import RemotePooling
from serving.errors import DeadlineExceeded, EngineFailed, EngineUnavailable, InputTooLong, Overloaded
from serving.pooling import EmbedRequest, PoolingInfo, RerankRequest, Scores, Vectors
from serving.runtime.hedging import RetryBudget
from tests.support.clock import simulated_time

REQUEST = EmbedRequest("r", ("a",))
VECTORS = Vectors((b"\0\0\0\0",), 1)
GONE = RayActorError()


class Handle:
    """A handle whose calls return or raise the values of a list, in turn; `None`: a call that never ends."""

    def __init__(self, *gives: Any) -> None:
        self.gives, self.requests, self.cancelled = list(gives), [], 0
        self.methods: list[str] = []
        self.stats = self

    def options(self, method_name: str = "", **_: object) -> "Handle":
        self.methods.append(method_name)
        return self

    def remote(self, *requests: Any) -> "Response":
        self.requests.extend(requests)
        return Response(self, self.gives.pop(0))


class Response:
    def __init__(self, handle: Handle, gives: Any) -> None:
        self.handle, self.gives = handle, gives

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    async def _result(self) -> Any:
        if self.gives is None:
            await asyncio.Event().wait()
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    def cancel(self) -> None:
        self.handle.cancelled += 1


def engine(handle: Handle) -> RemotePooling:
    return RemotePooling("m", handle, PoolingInfo("embed", 64), deadline_s=5)  # type: ignore[arg-type]


async def test_results_are_the_replicas() -> None:
    handle = Handle(VECTORS, Scores((0.5,), 2))
    asked = engine(handle)
    assert await asked.embed(REQUEST) == VECTORS
    assert (await asked.rerank(RerankRequest("r", "a", ("b",)))).values == (0.5,)
    assert handle.methods == ["embed", "rerank", ""]
    assert asked.info == PoolingInfo("embed", 64)


async def test_a_replica_that_is_lost_is_replaced_once() -> None:
    handle = Handle(GONE, VECTORS)
    assert await engine(handle).embed(REQUEST) == VECTORS
    assert [request.request_id for request in handle.requests] == ["r", "r-again"]
    handle = Handle(GONE, GONE, VECTORS)
    with pytest.raises(EngineUnavailable, match="was lost"):
        await engine(handle).embed(REQUEST)


async def test_a_lost_replica_is_not_replaced_beyond_the_budget_of_retries() -> None:
    handle = Handle(GONE, VECTORS)
    retries = RetryBudget(share=0, burst=0)
    info = PoolingInfo("embed", 64)
    asked = RemotePooling("m", handle, info, deadline_s=5, retries=retries)  # type: ignore[arg-type]
    with pytest.raises(EngineUnavailable, match="was lost"):
        await asked.embed(REQUEST)
    assert len(handle.requests) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputTooLong("m", "input", 9, 4), InputTooLong),
        (ValueError("no"), EngineFailed),
        (BackPressureError(num_queued_requests=9, max_queued_requests=9), Overloaded),
    ],
)
async def test_other_errors_are_the_callers_at_once(error: Exception, kind: type[Exception]) -> None:
    handle = Handle(error, VECTORS)
    with pytest.raises(kind):
        await engine(handle).embed(REQUEST)
    assert len(handle.requests) == 1


@simulated_time
async def test_a_deadline_and_a_caller_that_leaves_cancel_the_call() -> None:
    handle = Handle(None, None)
    with pytest.raises(DeadlineExceeded, match="did not finish within its deadline"):
        await engine(handle).embed(replace(REQUEST, deadline_s=0.01))
    assert handle.cancelled == 1
    leaving = asyncio.create_task(engine(handle).embed(REQUEST))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.wait({leaving})
    assert handle.cancelled == 2


async def test_health_is_a_replica_that_answers() -> None:
    await engine(Handle(0)).check_health()
    with pytest.raises(EngineUnavailable):
        await engine(Handle(GONE)).check_health()
