"""Request tasks, which end with their block."""

import asyncio
from typing import Any

import pytest

from serving.api.exchange import HttpExchange
from serving.api.request_task import RequestTask
from serving.errors import DeadlineExceeded
from tests.support.clock import simulated_time


class Tidy:
    """A coroutine whose cleanup takes a few turns of the event loop."""

    def __init__(self) -> None:
        self.begun, self.ending, self.clean = asyncio.Event(), asyncio.Event(), False

    async def __call__(self) -> None:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.ending.set()
            for _ in range(5):
                await asyncio.sleep(0)
            self.clean = True


def exchange_of(left: asyncio.Event) -> HttpExchange:
    """An exchange whose client disconnects when `left` is set."""

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        raise AssertionError("a request task sends nothing")

    return HttpExchange({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)


async def test_work_that_is_left_early_cleans_up_to_the_end() -> None:
    tidy = Tidy()
    async with RequestTask(exchange_of(asyncio.Event()), "m", tidy(), 60):
        await tidy.begun.wait()
    assert tidy.clean


async def test_leaving_work_that_the_caller_has_ended_does_not_break_its_end_off() -> None:
    tidy, left = Tidy(), asyncio.Event()
    async with RequestTask(exchange_of(left), "m", tidy(), 60):
        await tidy.begun.wait()
        left.set()
        await tidy.ending.wait()
    assert tidy.clean


async def test_a_timeout_of_the_engine_itself_is_not_the_deadline_of_the_request() -> None:
    async def fails() -> None:
        raise TimeoutError("the engine's own")

    async with RequestTask(exchange_of(asyncio.Event()), "m", fails(), 60) as request_task:
        await asyncio.wait({request_task.task})
        with pytest.raises(TimeoutError, match="the engine's own"):
            request_task.result()


@simulated_time
async def test_an_engine_gets_a_little_longer_than_the_deadline_to_end_by_itself() -> None:
    began = asyncio.get_running_loop().time()
    async with RequestTask(exchange_of(asyncio.Event()), "m", asyncio.sleep(100), 2) as request_task:
        await asyncio.wait({request_task.task})
        with pytest.raises(DeadlineExceeded, match="within its deadline of 2 s"):
            request_task.result()
    assert asyncio.get_running_loop().time() - began == 2.5
