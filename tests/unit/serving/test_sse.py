import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

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


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_names_comments_and_other_fields_are_read_as_the_standard_says(end: bytes) -> None:
    lines = [b"event: error", b"data: a", b"", b"data", b"", b"event: x", b"", b"data:b", b"id: 1", b"retry: 3", b": c"]
    wire = sse.BOM + end.join([*lines, b"event:y", b"event", b"datum: z", b"nothing", b"", b""])
    parsed = [(b"a", "error"), (b"", ""), (b"b", "")]
    for cut in range(len(wire)):
        parser = sse.EventParser()
        assert parser.feed(wire[:cut]) + parser.feed(wire[cut:]) == parsed


class Counting(bytearray):
    """A buffer that counts the bytes put into it."""

    added = 0

    def __iadd__(self, other: Any) -> "Counting":  # type: ignore[misc, override]
        self.added += len(other)
        super().__iadd__(other)
        return self


def test_the_work_for_a_long_line_grows_as_the_line() -> None:
    parser = sse.EventParser()
    parser._line = held = Counting()
    for _ in range(2000):
        assert parser.feed(b"data: " + b"x" * 1000) == []
    assert held.added == len(held) == 2000 * 1006  # each byte is copied once, not once for each chunk after it
    ((line, _),) = parser.feed(b"\n\n")
    assert len(line) == 2000 * 1006 - 6


@pytest.mark.parametrize("field", [b"data: ", b": ", b"event: ", b"id: ", b""])
def test_no_more_than_the_limit_is_held(field: bytes) -> None:
    parser = sse.EventParser(limit_bytes=100)
    parser.feed(field + b"x" * (100 - len(field)))
    with pytest.raises(sse.EventTooLong):
        parser.feed(b"x")
    assert len(parser._line) == 100


def test_lines_without_data_count_too() -> None:
    parser = sse.EventParser(limit_bytes=100)
    with pytest.raises(sse.EventTooLong):
        parser.feed(b"data\n" * 102)
