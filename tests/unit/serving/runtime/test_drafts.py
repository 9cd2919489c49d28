"""Drafts of tool calls: when two are equal, when one has no vote, and how a vote is decided."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.conversation import Message, Tool, ToolCall
from serving.references import Draft, Reference
from serving.runtime.drafts import Votes, ballot, draft_of
from serving.types import Choice, GenerateRequest

TOOLS = (Tool("look"), Tool("add"))
REQUEST = GenerateRequest("r", (Message("user", "Why?"),), tools=TOOLS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=3)


def call(arguments: str, name: str = "look", number: int = 1) -> ToolCall:
    return ToolCall(f"c{number}", name, arguments)


def shuffled(value: Any, order: random.Random) -> Any:
    """`value` with the keys of every object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(st.lists(st.tuples(st.sampled_from(["look", "add"]), ARGUMENTS), min_size=1, max_size=4), st.randoms())
def test_calls_with_equal_names_and_arguments_are_equal(
    calls: list[tuple[str, dict[str, Any]]], order: random.Random
) -> None:
    written = [call(json.dumps(arguments), name, number) for number, (name, arguments) in enumerate(calls)]
    again = [
        call(json.dumps(shuffled(arguments, order), indent=order.choice([None, 2]), ensure_ascii=False), name, 9)
        for name, arguments in calls
    ]
    order.shuffle(again)
    assert ballot(written, TOOLS) == ballot(again, TOOLS) is not None


@given(ARGUMENTS, ARGUMENTS)
def test_calls_with_other_arguments_are_not_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    ballots = [ballot([call(json.dumps(arguments))], TOOLS) for arguments in (one, other)]
    # By type, too: in Python, unlike in JSON, 1 equals true.
    assert (ballots[0] == ballots[1]) == (repr(shuffled_keys(one)) == repr(shuffled_keys(other)))


def shuffled_keys(value: Any) -> Any:
    """`value` with sorted keys, so that equal objects have an equal `repr`."""
    if isinstance(value, dict):
        return {key: shuffled_keys(value[key]) for key in sorted(value)}
    return [shuffled_keys(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([call('{"a": 1, "b": 2}')], [call('{"b":2,"a":1}')]),
        ([call('{"a": 1.0}')], [call('{"a": 1}')]),
        ([call('{"a": 1e2}')], [call('{"a": 100}')]),
        ([call("")], [call("{}")]),
        ([call('{"a": "\\u00e9"}')], [call('{"a": "é"}')]),
        ([call("{}", "look"), call("{}", "add")], [call("{}", "add"), call("{}", "look")]),
    ],
)
def test_the_spelling_does_not_matter(one: list[ToolCall], other: list[ToolCall]) -> None:
    assert ballot(one, TOOLS) == ballot(other, TOOLS) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([call("{}", "look")], [call("{}", "add")]),
        ([call('{"a": 1}')], [call('{"a": "1"}')]),
        ([call('{"a": 1}')], [call('{"a": true}')]),
        ([call('{"a": [1, 2]}')], [call('{"a": [2, 1]}')]),
        ([call("{}")], [call("{}"), call("{}")]),
        ([call('{"a": 9007199254740993.0}')], [call('{"a": 9007199254740993}')]),
    ],
)
def test_what_a_tool_would_tell_apart_is_not_equal(one: list[ToolCall], other: list[ToolCall]) -> None:
    assert ballot(one, TOOLS) != ballot(other, TOOLS)


@pytest.mark.parametrize(
    "calls",
    [
        [],
        [call("{}", "delete")],
        [call('{"a": ')],
        [call("[1]")],
        [call("null")],
        [call('{"a": NaN}')],
        [call('{"a": -Infinity}')],
        [call('{"a": ' + "[" * 100_000)],
        [call('{"a": ' + "9" * 5_000 + "}")],
        [call("{}"), call("{")],
    ],
)
def test_what_cannot_be_compared_or_run_has_no_vote(calls: list[ToolCall]) -> None:
    assert ballot(calls, TOOLS) is None


def test_calls_that_may_be_cut_off_have_no_vote() -> None:
    whole, cut = (draft_of("b", REQUEST, Choice("", reason, tool_calls=(call("{}"),))) for reason in REASONS)
    assert whole is not None
    assert cut is not None
    assert whole.draft is not None
    assert cut.draft is not None
    assert (whole.draft.ballot is None, cut.draft.ballot is None) == (False, True)
    assert whole.text == cut.text == "(would call look with {})"


REASONS: tuple[Any, Any] = ("tool_calls", "length")


def test_a_draft_is_text_then_bounded_prose() -> None:
    long = call(json.dumps({"a": "x\n" * 5_000}))
    reference = draft_of("b", REQUEST, Choice("Let me see.", "tool_calls", tool_calls=(long,) * 40))
    assert reference is not None
    first, *lines, last = reference.text.splitlines()
    assert first == "Let me see."
    assert len(lines) == 32
    assert all(line.startswith("(would call look with {") and len(line) < 450 for line in lines)
    assert last == "(8 more calls are left out)"
    assert draft_of("b", REQUEST, Choice(" ", "stop", reasoning="hm")) is None


def drafted(*ballots: str | None) -> list[Reference]:
    return [Reference("m", f"draft {slot}", draft=Draft("", (call("{}"),), one)) for slot, one in enumerate(ballots)]


def votes_of(needed: int, *ballots: str | None) -> Votes:
    votes = Votes(2, len(ballots), needed)
    for slot, reference in reversed([*enumerate(drafted(*ballots))]):
        votes.add(slot, reference)
    return votes


def test_the_first_draft_by_slot_of_the_most_frequent_calls_wins() -> None:
    winner = votes_of(2, "x", "y", None, "y").winner
    assert winner is not None
    assert winner.text == "draft 1"
    assert votes_of(2, "x", "y", None, "y").outcome == (
        "2 of 4 proposers of layer 2 drafted the same tool calls, which are the answer."
    )


@pytest.mark.parametrize("ballots", [("x", "y", "z"), (None, None, None), ("x", None, "y"), ()])
def test_fewer_equal_drafts_than_needed_decide_nothing(ballots: tuple[str | None, ...]) -> None:
    votes = votes_of(2, *ballots)
    votes.add(len(ballots), Reference("m", "only text", draft=Draft("only text")))
    votes.add(len(ballots) + 1, Reference("m", "an adviser"))
    votes.add(len(ballots) + 2, None)
    assert votes.winner is None
    most = 1 if any(ballots) else 0
    assert votes.outcome == (
        f"{most} of {len(ballots)} proposers of layer 2 drafted the same tool calls; 2 are needed to decide."
    )
