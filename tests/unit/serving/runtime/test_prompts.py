import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.conversation import Message, ToolCall
from serving.references import Layout, Reference, ReferenceBlock
from serving.runtime.prompts import (
    AGGREGATE_AND_SYNTHESIZE,
    CUT_MARK,
    in_tool_loop,
    numbered,
    prompt_messages,
    shortened,
    with_references,
)
from serving.types import GenerateRequest

REFERENCES = (Reference("a", " Paris \n"), Reference("b", "Lyon"))
USER = Message("user", "Capital of France?")


def test_the_paper_layout_puts_text_and_references_into_the_system_message() -> None:
    assert with_references((USER,), ReferenceBlock(REFERENCES, AGGREGATE_AND_SYNTHESIZE)) == (
        Message("system", f"{AGGREGATE_AND_SYNTHESIZE}\n1. Paris\n2. Lyon"),
        USER,
    )


def test_the_callers_system_prompt_comes_first_and_the_conversation_is_intact() -> None:
    talk = (Message("system", "Be brief."), USER, Message("assistant", "Paris"), Message("user", "Sure?"))
    system, *rest = with_references(talk, ReferenceBlock(REFERENCES, "P:"))
    assert system.content == "Be brief.\n\nP:\n1. Paris\n2. Lyon"
    assert tuple(rest) == talk[1:]


def test_references_last_ends_the_last_user_turn() -> None:
    talk = (Message("system", "Be brief."), USER)
    assert with_references(talk, ReferenceBlock(REFERENCES, "P:", "references_last")) == (
        talk[0],
        Message("user", "Capital of France?\n\nP:\n1. Paris\n2. Lyon"),
    )


def test_references_last_adds_a_user_turn_where_the_conversation_ends_otherwise() -> None:
    talk = (USER, Message("assistant", "Par"))
    assert with_references(talk, ReferenceBlock(REFERENCES, "P:", "references_last"))[-1].role == "user"


@pytest.mark.parametrize("layout", ["paper", "references_last"])
def test_a_loop_of_tool_calls_adds_turns_at_the_end_only(layout: Layout) -> None:
    block = ReferenceBlock(REFERENCES, "P:", layout)
    call = Message("assistant", "", tool_calls=(ToolCall("c1", "look", "{}"),))
    loop = (call, Message("tool", "1", tool_call_id="c1"), call, Message("tool", "2", tool_call_id="c1"))
    first = with_references((USER,), block)
    assert with_references((USER, *loop), block) == (*first, *loop)


def test_a_tool_loop_is_what_ends_with_a_tool_turn_after_the_last_user_message() -> None:
    call, answer = Message("assistant", "", tool_calls=(ToolCall("c1", "look", "{}"),)), Message("assistant", "So.")
    result = Message("tool", "1", tool_call_id="c1")
    for loop in ([USER, call], [USER, call, result], [USER, answer, call, result, call, result]):
        assert in_tool_loop(loop)
        block = ReferenceBlock(REFERENCES, "P:", "references_last")
        assert with_references(loop, block)[1:] == tuple(loop[1:])
    later = Message("system", "Hurry.")
    for other in ([], [USER], [call, result], [USER, call, result, answer], [USER, call, result, USER]):
        assert not in_tool_loop(other)
    assert not in_tool_loop([USER, later, call, result])


def test_references_keep_the_name_of_the_user_and_follow_an_answer() -> None:
    block = ReferenceBlock(REFERENCES, "P:", "references_last")
    named = Message("user", "Why?", "ann")
    assert with_references((named,), block)[-1].name == "ann"
    loop = (Message("tool", "1", tool_call_id="c1"), Message("assistant", "So."))
    assert with_references((named, *loop), block)[:-1] == (named, *loop)


def test_no_references_leave_the_conversation_as_it_is() -> None:
    assert with_references((USER,), ReferenceBlock((), "P:")) == (USER,)
    assert prompt_messages(GenerateRequest("r", (USER,))) == (USER,)


@given(st.lists(st.text(), min_size=1, max_size=8))
def test_no_reference_can_forge_another(texts: list[str]) -> None:
    block = numbered([Reference("m", text) for text in texts])
    heads = [int(found) for found in re.findall(r"^(\d+)\. ", block, re.MULTILINE)]
    ours = [number for number in heads if number <= len(texts)]
    assert ours[: len(texts)] == list(range(1, len(texts) + 1))
    assert len(re.findall(r"(?:\A|\n)\d+\. ", block)) == len(texts)


@given(st.lists(st.text(alphabet="abc ", max_size=200), min_size=1, max_size=8), st.integers(0, 1000))
def test_shortening_keeps_the_short_ones_whole_and_the_sum_bounded(texts: list[str], room: int) -> None:
    references = [Reference("m", text) for text in texts]
    cut = shortened(references, room)
    assert sum(len(reference.text) for reference in cut) <= max(room, 0) + len(CUT_MARK) * len(texts)
    kept = [len(reference.text) for before, reference in zip(references, cut, strict=True) if before == reference]
    lost = [len(before.text) for before, reference in zip(references, cut, strict=True) if before != reference]
    assert not kept or not lost or max(kept) <= max(min(lost), 0)
    if sum(map(len, texts)) <= room:
        assert list(cut) == references
