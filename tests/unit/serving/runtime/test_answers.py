"""Proposals that are returned as the answer: which ones may be, and in which form."""

from typing import Any

import pytest

from serving.conversation import Message, Tool, ToolCall, ToolChoice
from serving.references import Draft, Reference
from serving.runtime.answers import delta_of, first_valid, may_answer
from serving.types import GenerateRequest, ResponseFormat, Sampling
from serving.usage import TokenUsage

CALLS = (ToolCall("c1", "look", "{}"), ToolCall("c2", "look", '{"a": 1}'))
ADVICE = Reference("a", "text")
TEXT = Reference("b", "text", as_answer=True, draft=Draft("text"))
DRAFT = Reference("c", "(would call look with {})", "tool_calls", as_answer=True, draft=Draft("", CALLS))
BOTH = Reference("d", "I look.\n(would call look with {})", "stop", as_answer=True, draft=Draft("I look.", CALLS))


def asked(mode: Any = "auto", **sampling: Any) -> GenerateRequest:
    return GenerateRequest(
        "r", (Message("user", "Why?"),), Sampling(**sampling), tools=(Tool("look"),), tool_choice=ToolChoice(mode)
    )


@pytest.mark.parametrize(
    ("mode", "allowed"),
    [
        ("auto", (ADVICE, TEXT, DRAFT, BOTH)),
        ("required", (DRAFT, BOTH)),
        ("named", (DRAFT, BOTH)),
        ("none", (ADVICE, TEXT)),
    ],
)
def test_an_answer_calls_tools_if_it_must_and_does_not_if_it_must_not(
    mode: str, allowed: tuple[Reference, ...]
) -> None:
    given = (ADVICE, TEXT, DRAFT, BOTH)
    assert tuple(one for one in given if may_answer(one, asked(mode))) == allowed
    assert first_valid(given, asked(mode)) == allowed[0]
    assert first_valid((), asked(mode)) is None


def test_the_prose_of_calls_is_never_an_answer() -> None:
    known = Reference("c", "(would call look with {})", draft=Draft(""))
    assert first_valid((known,), asked()) is None
    spoken = Reference("d", BOTH.text, draft=Draft("I look."))
    found = first_valid((spoken,), asked())
    assert found is not None
    assert delta_of(found, TokenUsage()).text == "I look."


def test_advice_is_cut_at_the_callers_stop_and_does_not_satisfy_its_format() -> None:
    found = first_valid((Reference("a", "ten. twelve"),), asked(stop=(".",)))
    assert found is not None
    assert (found.text, found.finish_reason) == ("ten", "stop")
    assert first_valid((Reference("a", ".twelve"),), asked(stop=(".",))) is None
    wanted = ResponseFormat("json_object")
    assert first_valid((ADVICE, TEXT), asked(response_format=wanted)) == TEXT  # it was sampled with the format


def test_a_drafts_calls_get_new_ids_and_keep_their_text() -> None:
    one, two = delta_of(BOTH, TokenUsage(1, 2)), delta_of(BOTH, TokenUsage(1, 2))
    assert (one.text, one.finish_reason, one.usage) == ("I look.", "tool_calls", TokenUsage(1, 2))
    assert [(piece.index, piece.name, piece.arguments) for piece in one.tool_calls] == [
        (0, "look", "{}"),
        (1, "look", '{"a": 1}'),
    ]
    ids = {piece.id for delta in (one, two) for piece in delta.tool_calls}
    assert len(ids) == 4
    assert all(name is not None and name.startswith("call_") for name in ids)


def test_calls_that_were_cut_off_say_so() -> None:
    cut = Reference("c", "", "length", as_answer=True, draft=Draft("", CALLS))
    assert delta_of(cut, TokenUsage()).finish_reason == "length"
