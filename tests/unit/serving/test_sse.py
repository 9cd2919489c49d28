import json
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import sse


async def _pieces(data: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        yield data[start:end]


async def _read(data: bytes, cuts: list[int] | None = None, **limits: int) -> list[bytes]:
    return [event.data async for event in sse.events(_pieces(data, cuts or []), **limits)]


@given(st.lists(st.text()), st.lists(st.integers(0, 500)))
async def test_any_text_survives_events_cut_anywhere(texts: list[str], cuts: list[int]) -> None:
    wire = b"".join(sse.event(json.dumps(text, ensure_ascii=False).encode()) + sse.KEEP_ALIVE for text in texts)
    assert [json.loads(event) for event in await _read(wire, cuts)] == texts


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_lines_end_in_all_three_ways_wherever_they_are_cut(end: bytes) -> None:
    wire = end.join([b"data: one", b"", b"event: x", b": comment", b"data:two", b"data:  three", b"", b""])
    for cut in range(len(wire)):
        assert await _read(wire, [cut]) == [b"one", b"two\n three"]


async def test_an_event_that_nothing_ended_is_dropped() -> None:
    assert await _read(b"data: one\n\ndata: tw") == [b"one"]
    assert await _read(b"data: one\n\ndata: two\n") == [b"one"]


async def test_comments_are_not_events() -> None:
    assert await _read(sse.KEEP_ALIVE + sse.DONE + sse.KEEP_ALIVE) == [sse.DONE_DATA]


@pytest.mark.parametrize("wire", [b"data: " + b"x" * 200, b"data: xxxxxxxxxxxx\n" * 20])
async def test_an_endless_event_is_refused(wire: bytes) -> None:
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        await _read(wire, [50, 100, 150], limit_bytes=100)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_returned_with_the_byte_that_ends_it(end: bytes) -> None:
    parser = sse.EventParser()
    wire = b"data: one" + end + end[:1]
    assert [parser.feed(bytes([byte])) for byte in wire] == [[]] * (len(wire) - 1) + [[(b"one", "")]]
    assert parser.feed(end[1:] + b"data: two" + end + end) == [(b"two", "")]
