"""Overload, retries, termination and memory, by counts."""

import asyncio
import gc
import signal
from collections import deque
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import httpx
import pytest

from loadtest.torture import memory, retries, termination
from loadtest.torture.effort import Effort
from loadtest.torture.overload import scripted_server
from loadtest.torture.stage import app_of, chat, orchestrate, trio
from serving.types import Delta, GenerateRequest
from tests.support.api import client_of


@pytest.fixture
def effort(tmp_path: Path) -> Effort:
    return Effort(short=True, out=tmp_path, say=lambda text: None)


async def test_beyond_its_limit_a_server_refuses_with_retry_after_and_then_answers_again() -> None:
    release = asyncio.Event()

    async def held(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        await release.wait()
        async for delta in stream:
            yield delta

    models = trio(intercept=held)
    async with client_of(app_of(orchestrate(models), max_in_flight=4)) as client:

        async def ask(number: int) -> httpx.Response:
            return await client.post("/v1/chat/completions", json=chat("a", f"{number}", temperature=1))

        asked = [asyncio.create_task(ask(number)) for number in range(32)]
        for _, refusal in zip(range(28), asyncio.as_completed(asked), strict=False):
            await refusal
        refused = [task.result() for task in asked if task.done()]
        assert {response.status_code for response in refused} == {429}
        assert all(float(response.headers["retry-after"]) > 0 for response in refused)
        assert models["a"].running == 4
        release.set()
        statuses = [response.status_code for response in await asyncio.gather(*asked)]
        assert (statuses.count(200), statuses.count(429)) == (4, 28)
        assert (await ask(33)).status_code == 200


async def test_a_dead_cluster_is_asked_at_most_1_2_times_as_often(effort: Effort) -> None:
    rows = await retries.measure(effort)
    assert [row.kept for row in rows] == [True, True], rows


async def test_sigterm_loses_none_of_200_requests(effort: Effort) -> None:
    log = effort.out / "api.log"
    async with scripted_server(log, termination.IN_FLIGHT, termination.ANSWER_S) as (url, pid):
        begun = partial(termination.full, url)
        whole, streamed = await termination.in_flight(url, pid, signal.SIGTERM, begun)
    assert whole.errors() + streamed.errors() == {}
    assert whole.answered + streamed.answered == termination.IN_FLIGHT


async def test_requests_leave_no_objects_behind() -> None:
    app = app_of(orchestrate(trio()))

    async def answer(numbers: range) -> int:
        for first in range(numbers.start, numbers.stop, 16):
            several = range(first, min(first + 16, numbers.stop))
            await asyncio.gather(*map(partial(memory.call, app), map(memory.body_of, several)))
        gc.collect()
        return len(gc.get_objects())

    await answer(range(1500))  # caches fill: the durations of 200 calls, the advice of conversations
    before = await answer(range(1500, 2000))
    assert await answer(range(2000, 4000)) - before < 500  # a quarter of an object per request


def test_scripted_engines_of_the_report_record_nothing() -> None:
    for model in trio().values():
        assert isinstance(model.requests, deque)
        assert model.requests.maxlen == model.prefills.maxlen == 0
