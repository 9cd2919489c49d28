"""Stored answers as bytes, and as streams."""

import math
import zlib
from collections.abc import AsyncGenerator

import pytest

from serving.cache.entry import FORM, UnusableEntry, decoded, encoded
from serving.cache.pieces import PIECE_CHARACTERS, deltas_of
from serving.conversation import ToolCall
from serving.engine import collect
from serving.types import AgentTrace, Choice, Completion, Delta, Report, Timing, TokenLogprob
from serving.usage import UNKNOWN_USAGE, TokenUsage

TOKENS = tuple(TokenLogprob(word, -0.5, word.encode(), (TokenLogprob("x", -math.inf, b"x"),)) for word in "ab cd ef")
LONG = "A long text, which is written in pieces: ÄÖÜ 😀 and more. " * 5
RICH = Completion(
    (
        Choice(
            LONG, "tool_calls", None, "thought " * 20, (ToolCall("1", "f", '{"a": 1}' * 20), ToolCall("2", "g", ""))
        ),
        Choice("ab cd ef", "stop", TOKENS, stop="!"),
        Choice("", "length"),
        Choice("other", "stop", TOKENS[:2]),
        Choice("", "stop", ()),
    ),
    TokenUsage(3, None, 1, 0),
    Timing(0.5, None, 2.0),
    Report("moa", False, ("a reason",), (AgentTrace(1, 0, "proposer", "m", "ok", "text"),), UNKNOWN_USAGE),
)


def test_an_answer_is_the_same_after_it_was_stored() -> None:
    assert decoded(encoded(RICH)) == RICH


def test_bytes_and_unusual_numbers_of_tokens_survive() -> None:
    token = TokenLogprob("\ufffd", math.nan, b"\xff\x00")
    (choice,) = decoded(encoded(Completion((Choice("\ufffd", "stop", (token,)),), TokenUsage()))).choices
    assert choice.logprobs[0].token_bytes == b"\xff\x00"
    assert math.isnan(choice.logprobs[0].logprob)


def test_a_text_that_is_no_unicode_is_not_stored() -> None:
    with pytest.raises(ValueError, match="Unicode"):
        encoded(Completion((Choice("\ud800", "stop"),), TokenUsage()))


GOOD = encoded(RICH)


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"moa0" + GOOD[4:],
        GOOD[:-1],
        GOOD[:20],
        GOOD + b"x",
        GOOD[:30] + bytes([GOOD[30] ^ 255]) + GOOD[31:],
        FORM + b"text",
        FORM + zlib.compress(b"{}"),
        FORM + zlib.compress(b'{"completion":{"choices":1}}'),
    ],
    ids=["empty", "version", "cut", "head", "longer", "changed", "plain", "fields", "types"],
)
def test_a_damaged_entry_or_one_of_another_version_is_refused(entry: bytes) -> None:
    with pytest.raises(UnusableEntry):
        decoded(entry)


async def stream(deltas: list[Delta]) -> AsyncGenerator[Delta, None]:
    for delta in deltas:
        yield delta


@pytest.mark.parametrize("whole", [True, False])
async def test_the_deltas_of_an_answer_add_up_to_it(whole: bool) -> None:
    assert await collect("m", stream([*deltas_of(RICH, whole=whole)])) == RICH


def test_a_stream_comes_in_pieces_and_a_whole_answer_in_one() -> None:
    assert len([*deltas_of(RICH, whole=True)]) == len(RICH.choices)
    pieces = [delta.text for delta in deltas_of(RICH, whole=False) if delta.index == 0 and delta.text]
    assert len(pieces) > 3
    assert max(map(len, pieces)) <= PIECE_CHARACTERS
