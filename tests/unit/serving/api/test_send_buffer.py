"""The send buffer: order, joined pieces, comments in silence, and its limit."""

import asyncio

from serving import sse
from serving.api.send_buffer import FULL_BYTES, SendBuffer
from tests.support.clock import simulated_time


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
