"""Request tasks, which end with their block, and the send buffer."""

import asyncio

import pytest

from serving import sse
from serving.api.exchange import HttpExchange
from serving.api.streaming import FULL_BYTES, RequestTask, SendBuffer
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

    return HttpExchange({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, None)  # type: ignore[arg-type]


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


async def test_what_has_come_leaves_as_one_piece_after_the_prelude() -> None:
    buffer = SendBuffer(b"role", 60)
    buffer.put(b"a")
    buffer.put(b"b")
    assert await buffer.get() == b"roleab"
    getting = asyncio.create_task(buffer.get())
    await asyncio.sleep(0)
    buffer.put(b"c")
    buffer.put(b"d")
    assert await getting == b"cd"
    buffer.close()
    assert await buffer.get() is None


async def test_what_is_left_at_the_end_is_given_first() -> None:
    buffer = SendBuffer(b"role", 60)
    buffer.close()
    assert [await buffer.get(), await buffer.get()] == [b"role", None]


async def test_a_getter_is_told_of_the_end() -> None:
    buffer = SendBuffer(b"", 60)  # a dialect whose streams begin with the first delta
    getting = asyncio.create_task(buffer.get())
    await asyncio.sleep(0)
    buffer.close()
    assert await getting is None


@simulated_time
async def test_silence_is_filled_with_comments_and_they_are_not_the_first_item() -> None:
    buffer = SendBuffer(b"role", 0.01)
    assert await buffer.get() == b"role"
    assert [await buffer.get(), await buffer.get()] == [sse.KEEP_ALIVE] * 2
    assert not buffer.first_item.done()
    buffer.put(b"a")
    assert buffer.first_item.done()
    buffer.close()


@simulated_time
async def test_comments_do_not_pile_up_for_a_slow_getter() -> None:
    buffer = SendBuffer(b"role", 0.001)
    await buffer.get()
    await asyncio.sleep(0.05)
    assert await buffer.get() == sse.KEEP_ALIVE
    buffer.close()


@simulated_time
async def test_no_comment_comes_after_the_end() -> None:
    buffer = SendBuffer(b"role", 0.001)
    buffer.close()
    await asyncio.sleep(0.01)
    assert [await buffer.get(), await buffer.get()] == [b"role", None]


@simulated_time
async def test_a_full_buffer_holds_the_putter_up_until_it_is_read() -> None:
    buffer = SendBuffer(b"", 60)
    buffer.put(b"x" * FULL_BYTES)
    waiting = asyncio.create_task(buffer.wait_for_room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await buffer.get()
    await waiting
    buffer.close()


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


@simulated_time
async def test_a_comment_fills_each_keep_alive_time_of_silence() -> None:
    loop = asyncio.get_running_loop()
    buffer = SendBuffer(b"role", 5.0)
    assert await buffer.get() == b"role"
    await asyncio.sleep(3)
    buffer.put(b"a")
    assert await buffer.get() == b"a"
    sent_at = []
    for _ in range(3):
        assert await buffer.get() == sse.KEEP_ALIVE
        sent_at.append(loop.time())
    assert sent_at == [8, 13, 18]  # counted from the last item
    buffer.close()
