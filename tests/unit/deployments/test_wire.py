"""Deltas survive the wire, and coalescing loses nothing of them."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.model.coalescing import coalesced
from deployments.wire import pack, unpack
from serving.conversation import ToolCallDelta
from serving.engine import collect
from serving.types import Delta, Timing, TokenLogprob
from serving.usage import TokenUsage

counts = st.none() | st.integers(0, 10_000)
seconds = st.none() | st.floats(0, 1000)
logprobs = st.builds(TokenLogprob, st.text(), st.floats(-20, 0), st.binary(max_size=4), st.just(()))
deltas = st.builds(
    Delta,
    text=st.text(),
    index=st.integers(0, 7),
    logprobs=st.none() | st.lists(logprobs, max_size=3).map(tuple),
    finish_reason=st.sampled_from([None, "stop", "length"]),
    usage=st.none() | st.builds(TokenUsage, counts, counts, counts, counts),
    timing=st.none() | st.builds(Timing, seconds, seconds, seconds),
    reasoning=st.text(),
    tool_calls=st.lists(
        st.builds(ToolCallDelta, st.integers(0, 3), st.none() | st.text(), st.none() | st.text(), st.text()), max_size=2
    ).map(tuple),
    stop=st.none() | st.text(min_size=1),
    running_usage=st.none() | st.builds(TokenUsage, counts, counts, counts, counts),
).map(lambda delta: delta if delta.finish_reason else replace(delta, stop=None))


@given(deltas)
def test_a_delta_is_the_same_after_the_wire(delta: Delta) -> None:
    whole = delta.usage or delta.logprobs is not None
    found = unpack(pack(delta))
    assert replace(found, timing=None) == replace(delta, timing=None)
    assert found.timing == delta.timing or not whole, "only whole deltas have times"


def test_a_piece_of_text_is_two_values() -> None:
    assert pack(Delta("a")) == (0, "a")
    assert pack(Delta("a", 1, finish_reason="stop")) == (1, "a", "stop")


def test_a_piece_of_reasoning_or_of_a_call_is_four_values() -> None:
    assert pack(Delta("", 1, reasoning="b")) == (1, "", "b", ())
    assert pack(Delta("", tool_calls=(ToolCallDelta(0, arguments="{"),))) == (0, "", "", ((0, None, None, "{"),))


async def stream(deltas: Iterable[Delta]) -> AsyncGenerator[Delta, None]:
    for delta in deltas:
        yield delta


class Clock:
    """Goes on by `step_s` each time it is asked."""

    def __init__(self, step_s: float) -> None:
        self.now, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now


def answer(tokens: int, choices: int = 1) -> list[Delta]:
    pieces = [Delta(f"{token} ", index) for token in range(tokens) for index in range(choices)]
    ends = [Delta("", index, finish_reason="stop") for index in range(choices - 1)]
    return [*pieces, *ends, Delta("", choices - 1, finish_reason="stop", usage=TokenUsage(1, tokens, 0))]


async def test_the_first_piece_leaves_at_once_and_later_ones_in_groups() -> None:
    groups = [group async for group in coalesced(stream(answer(17)), max_deltas=8, clock=lambda: 0.0)]
    texts = [group[0].text for group in groups]
    assert texts[0] == "0 "
    assert [text.count(" ") for text in texts] == [1, 8, 8, 0]


async def test_a_slow_engine_streams_token_by_token() -> None:
    groups = [group async for group in coalesced(stream(answer(5)), interval_s=0.02, clock=Clock(0.03))]
    assert [group[0].text for group in groups] == ["0 ", "1 ", "2 ", "3 ", "4 ", ""]


@given(st.integers(0, 40), st.integers(1, 4), st.integers(1, 9))
async def test_nothing_is_lost_in_groups(tokens: int, choices: int, max_deltas: int) -> None:
    whole = await collect("m", stream(answer(tokens, choices)))

    async def flat() -> AsyncGenerator[Delta, None]:
        async for group in coalesced(stream(answer(tokens, choices)), max_deltas=max_deltas, clock=lambda: 0.0):
            for delta in group:
                yield delta

    assert await collect("m", flat()) == whole


async def test_logprobs_are_joined_in_order() -> None:
    one, two, three = (TokenLogprob(token, -1.0) for token in "abc")
    pieces = [Delta("a", 0, (one,)), Delta("b", 0, (two,)), Delta("c", 0, (three,), "stop", TokenUsage())]
    groups = [group async for group in coalesced(stream(pieces), clock=lambda: 0.0)]
    assert [group[0].logprobs for group in groups] == [(one,), (two, three)]


async def test_a_group_has_the_newest_usage_so_far() -> None:
    pieces = [Delta(str(count), running_usage=TokenUsage(3, count)) for count in range(1, 4)]
    groups = [group async for group in coalesced(stream(pieces), clock=lambda: 0.0)]
    assert [group[0].running_usage for group in groups] == [TokenUsage(3, 1), TokenUsage(3, 3)]


async def test_closing_the_groups_closes_the_stream() -> None:
    closed = False

    async def watched() -> AsyncGenerator[Delta, None]:
        nonlocal closed
        try:
            for delta in answer(10):
                yield delta
        finally:
            closed = True

    async with aclosing(coalesced(watched())) as groups:
        await anext(groups)
    assert closed


async def test_an_error_comes_through() -> None:
    async def failing() -> AsyncGenerator[Delta, None]:
        yield Delta("a")
        raise ValueError("broken")

    groups = coalesced(failing())
    assert (await anext(groups))[0].text == "a"
    with pytest.raises(ValueError, match="broken"):
        await anext(groups)


async def test_reasoning_and_calls_are_joined_each_with_their_own() -> None:
    pieces = [
        Delta("", reasoning="a"),
        Delta("", reasoning="b"),
        Delta("", reasoning="c"),
        Delta("d"),
        Delta("", tool_calls=(ToolCallDelta(0, "i", "f", "{"),)),
        Delta("", tool_calls=(ToolCallDelta(0, arguments="}"), ToolCallDelta(1, "j", "g"))),
        Delta("", tool_calls=(ToolCallDelta(1, arguments="{}"),), finish_reason="tool_calls", usage=TokenUsage()),
    ]
    groups = [group async for group in coalesced(stream(pieces), clock=lambda: 0.0)]
    assert [group[0].reasoning for group in groups] == ["a", "bc"]
    assert groups[1][0].text == "d"
    assert groups[1][0].tool_calls == (ToolCallDelta(0, "i", "f", "{}"), ToolCallDelta(1, "j", "g", "{}"))
