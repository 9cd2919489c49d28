"""Conversations in the shapes that templates accept."""

import time
from dataclasses import fields, replace

import pytest

from deployments.model.conversation import adapted
from deployments.model.templates.facts import TemplateFacts
from serving.conversation import Message, ToolCall
from serving.errors import InvalidRequest

ALL = TemplateFacts(**{field.name: True for field in fields(TemplateFacts)})  # accepts every shape
STRICT = replace(
    ALL,
    system=False,
    lone_system=False,
    later_system=False,
    repeated_user=False,
    repeated_assistant=False,
    leading_assistant=False,
    final_assistant=False,
)
CALLS = (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}"))
CALLING = Message("assistant", "text", reasoning="thought", tool_calls=CALLS)
RESULTS = (Message("tool", "two", tool_call_id="c2"), Message("tool", "one", tool_call_id="c1"))


def shape(pairs: list[tuple[str, str]], facts: TemplateFacts) -> list[tuple[str, str]]:
    messages = [Message({"s": "system", "u": "user", "a": "assistant"}[role], text) for role, text in pairs]
    return [(message.role[0], message.content) for message in adapted(messages, facts, "m")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("s", "S"), ("u", "U")], [("u", "S\n\nU")]),
        ([("s", "S")], [("u", "S")]),
        ([("s", "S"), ("s", "T"), ("u", "U")], [("u", "S\n\nT\n\nU")]),
        ([("u", "U"), ("a", "A"), ("s", "S"), ("u", "V")], [("u", "U"), ("a", "A"), ("u", "S\n\nV")]),
        ([("u", "U"), ("s", "S")], [("u", "U\n\nS")]),
        ([("s", "S"), ("a", "A"), ("u", "U")], [("u", "S"), ("a", "A"), ("u", "U")]),
        ([("a", "A"), ("u", "U")], [("u", ""), ("a", "A"), ("u", "U")]),
        ([("u", "U"), ("u", "V")], [("u", "U\n\nV")]),
        ([("u", "U"), ("a", "A"), ("a", "B"), ("u", "V")], [("u", "U"), ("a", "A\n\nB"), ("u", "V")]),
        ([("u", "U"), ("a", "A")], [("u", "U"), ("a", "A"), ("u", "")]),
        ([("a", "A")], [("u", ""), ("a", "A"), ("u", "")]),
    ],
)
def test_a_strict_template_gets_every_text_in_turns(
    given: list[tuple[str, str]], expected: list[tuple[str, str]]
) -> None:
    assert shape(given, STRICT) == expected
    assert shape(given, ALL) == given


def test_a_lone_system_text_alone_can_be_what_a_template_refuses() -> None:
    facts = replace(ALL, lone_system=False)
    assert shape([("s", "S")], facts) == [("u", "S")]
    assert shape([("s", "S"), ("u", "U")], facts) == [("s", "S"), ("u", "U")]


def test_a_system_text_waits_until_the_results_of_calls_are_there() -> None:
    messages = [Message("user", "U"), CALLING, Message("system", "S"), *RESULTS, Message("user", "V")]
    found = adapted(messages, replace(ALL, later_system=False), "m")
    assert [message.role for message in found] == ["user", "assistant", "tool", "tool", "user"]
    assert found[-1].content == "S\n\nV"


def test_text_and_calls_are_two_messages_where_one_loses_the_calls() -> None:
    found = adapted([Message("user", "U"), CALLING, *RESULTS], replace(ALL, text_with_calls=False), "m")
    assert [(one.role, one.content, one.reasoning, len(one.tool_calls)) for one in found[1:3]] == [
        ("assistant", "text", None, 0),
        ("assistant", "", "thought", 2),
    ]


def test_parallel_calls_become_calls_one_after_the_other() -> None:
    found = adapted([Message("user", "U"), CALLING, *RESULTS], replace(ALL, parallel_calls=False), "m")
    assert [(one.content, one.reasoning, [call.id for call in one.tool_calls]) for one in found[1:]] == [
        ("text", "thought", ["c1"]),
        ("one", None, []),
        ("", None, ["c2"]),
        ("two", None, []),
    ]


@pytest.mark.parametrize(
    ("messages", "facts", "sentence"),
    [
        (
            (Message("assistant", "A"), Message("user", "U")),
            replace(STRICT, empty_user=False),
            "The chat template of 'm' needs a user message before messages[0] (assistant).",
        ),
        (
            (Message("user", "U"), Message("assistant", "A")),
            replace(STRICT, empty_user=False),
            "The chat template of 'm' needs a user message after messages[1] (assistant).",
        ),
        (
            (Message("user", "U"), CALLING),
            replace(ALL, tool_turns=False, tool_turns_without_tools=False),
            "The chat template of 'm' has no tool calls and results; remove messages[1] (assistant).",
        ),
        (
            (Message("user", "U"), CALLING),
            replace(ALL, text_with_calls=False, text_before_calls=False),
            "The chat template of 'm' has no text beside tool calls; remove the content of messages[1] (assistant).",
        ),
    ],
)
def test_what_fits_in_no_way_is_refused_by_its_number(
    messages: tuple[Message, ...], facts: TemplateFacts, sentence: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        adapted(messages, facts, "m")
    assert (str(caught.value), caught.value.param) == (sentence, "messages")


def test_many_messages_and_calls_cost_no_more_than_each() -> None:
    """Four times the messages take four times the time; comparing each with each would take sixteen times."""
    template = replace(ALL, repeated_user=False, parallel_calls=False)

    def cost(count: int) -> float:
        calls = tuple(ToolCall(f"c{number}", "f", "{}") for number in range(count))
        results = tuple(Message("tool", "r", tool_call_id=f"c{number}") for number in range(count))
        users = (Message("user", "x" * 200),) * count
        times = []
        for _ in range(2):
            started = time.thread_time()
            found = adapted([*users, Message("assistant", "", tool_calls=calls), *results], template, "m")
            times.append(time.thread_time() - started)
        assert len(found) == 1 + 2 * count
        return min(times)

    assert cost(8000) < 10 * cost(2000) + 0.01
