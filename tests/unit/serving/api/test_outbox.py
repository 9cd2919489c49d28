import asyncio

from serving import sse
from serving.api.streaming import FULL_BYTES, SendBuffer


async def test_what_has_come_leaves_as_one_piece_after_the_prelude() -> None:
    outbox = SendBuffer(b"role", 60)
    outbox.put(b"a")
    outbox.put(b"b")
    assert await outbox.take() == b"roleab"
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put(b"c")
    outbox.put(b"d")
    assert await taking == b"cd"
    outbox.close()
    assert await outbox.take() is None


async def test_what_is_left_at_the_end_is_given_first() -> None:
    outbox = SendBuffer(b"role", 60)
    outbox.close()
    assert [await outbox.take(), await outbox.take()] == [b"role", None]


async def test_a_taker_is_told_of_the_end() -> None:
    outbox = SendBuffer(b"", 60)
    assert await outbox.take() == b""
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.close()
    assert await taking is None


async def test_silence_is_filled_with_comments_and_they_are_not_the_first_item() -> None:
    outbox = SendBuffer(b"role", 0.01)
    assert await outbox.take() == b"role"
    assert [await outbox.take(), await outbox.take()] == [sse.KEEP_ALIVE] * 2
    assert not outbox.first.done()
    outbox.put(b"a")
    assert outbox.first.done()
    outbox.close()


async def test_comments_do_not_pile_up_for_a_slow_taker() -> None:
    outbox = SendBuffer(b"role", 0.001)
    await outbox.take()
    await asyncio.sleep(0.05)
    assert await outbox.take() == sse.KEEP_ALIVE
    outbox.close()


async def test_no_comment_comes_after_the_end() -> None:
    outbox = SendBuffer(b"role", 0.001)
    outbox.close()
    await asyncio.sleep(0.01)
    assert [await outbox.take(), await outbox.take()] == [b"role", None]


async def test_a_full_outbox_holds_the_putter_up_until_it_is_taken() -> None:
    outbox = SendBuffer(b"", 60)
    outbox.put(b"x" * FULL_BYTES)
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await outbox.take()
    await waiting
    outbox.close()
