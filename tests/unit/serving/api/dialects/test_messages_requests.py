"""Parsing of Messages requests: what is accepted, refused, and given to the engine."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.dialects.messages_requests import count_request, messages_request, parse_count, parse_messages
from serving.api.dialects.sealed import seal
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.types import GenerateRequest, ResponseFormat, Sampling
from tests.unit.serving.api.dialects.test_chat_requests import encoded

ABLE = EngineInfo(tools=True, thinking=True)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"name": "get_weather", "description": "Weather.", "input_schema": SCHEMA}
USER = {"role": "user", "content": "hi"}
CALL = {"type": "tool_use", "id": "c1", "name": "f", "input": {"city": "Köln"}}
CALLED = {"role": "assistant", "content": [CALL]}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}
EPHEMERAL = {"type": "ephemeral", "ttl": "1h", "scope": "global"}


def text(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def convert(info: EngineInfo = ABLE, settings: ApiSettings | None = None, **fields: Any) -> GenerateRequest:
    settings = settings or ApiSettings(max_messages=8, max_tools=3, max_tokens=100)
    body = parse_messages(encoded({"model": "m", "max_tokens": 9, "messages": [USER], **fields}), settings)
    return messages_request(body, ModelCard("m", "model"), info, settings, "id-1")


def refusal(info: EngineInfo = ABLE, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        convert(info, **fields)
    assert caught.value.status == 400
    return caught.value


def test_system_and_messages_are_strings_or_blocks() -> None:
    assert convert(system="Be brief.").messages == (Message("system", "Be brief."), Message("user", "hi"))
    request = convert(
        system=[
            text("x-anthropic-billing-header: cc_version=2.1; cch=f0f0;"),
            text("You are kind.", cache_control=EPHEMERAL),
            text("Be brief."),
        ],
        messages=[
            user(text("a"), text("b", cache_control=EPHEMERAL, citations=None)),
            {"role": "assistant", "content": [text("c", citations=None)]},
            {"role": "system", "content": [text("d")]},
            {"role": "user", "content": "e"},
        ],
    )
    assert request.messages == (
        Message("system", "You are kind.\nBe brief."),
        Message("user", "a\nb"),
        Message("assistant", "c"),
        Message("system", "d"),
        Message("user", "e"),
    )


def test_a_tool_loop_reaches_the_engine() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
    request = convert(
        messages=[
            USER,
            {"role": "assistant", "content": [thought, text("I look."), CALL, {**CALL, "id": "c2", "input": {}}]},
            user(
                {**RESULT, "tool_use_id": "c2", "content": [text("no"), text("way")], "is_error": True},
                {**RESULT, "cache_control": EPHEMERAL},
                text("Well?"),
            ),
            {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}, {**CALL, "id": "c3"}]},
            user({"type": "tool_result", "tool_use_id": "c3"}),
        ]
    )
    calls = (ToolCall("c1", "f", '{"city": "Köln"}'), ToolCall("c2", "f", "{}"))
    assert request.messages[1:] == (
        Message("assistant", "I look.", reasoning="Hm.", tool_calls=calls),
        Message("tool", "Error: no\nway", tool_call_id="c2"),
        Message("tool", "sunny", tool_call_id="c1"),
        Message("user", "Well?"),
        Message("assistant", "", tool_calls=(ToolCall("c3", "f", '{"city": "Köln"}'),)),
        Message("tool", "", tool_call_id="c3"),
    )


def test_omitted_thinking_comes_back_from_its_signature() -> None:
    blocks = [{"type": "thinking", "thinking": "", "signature": seal("Hm.")}, CALL]
    assert convert(messages=[USER, {"role": "assistant", "content": blocks}, USER]).messages[1].reasoning == "Hm."


def test_tools_and_their_choice_reach_the_engine() -> None:
    other = {"type": "custom", "name": "now", "input_schema": {"type": "object"}, "strict": True}
    hints = {"cache_control": EPHEMERAL, "eager_input_streaming": True, "defer_loading": False, "input_examples": []}
    choice = {"type": "tool", "name": "now", "disable_parallel_tool_use": True}
    request = convert(tools=[{**TOOL, **hints}, other], tool_choice=choice)
    assert request.tools == (Tool("get_weather", "Weather.", SCHEMA), Tool("now", None, {"type": "object"}, True))
    assert request.tool_choice == ToolChoice("named", "now")
    assert not request.parallel_tool_calls
    for given_mode, mode in (("auto", "auto"), ("any", "required"), ("none", "none")):
        assert convert(tools=[TOOL], tool_choice={"type": given_mode}).tool_choice.mode == mode
    assert convert(tool_choice={"type": "auto"}).tool_choice == ToolChoice()
    assert convert(tools=[TOOL]).parallel_tool_calls


def test_sampling_and_format_reach_the_engine() -> None:
    request = convert(
        stop_sequences=["a", "b"],
        temperature=1,
        top_p=0.9,
        top_k=5,
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
        metadata={"user_id": "u"},
        stream=True,
        priority=2,
    )
    form = ResponseFormat("json_schema", "", SCHEMA)
    assert request.sampling == Sampling(1.0, 0.9, 9, ("a", "b"), response_format=form, top_k=5)
    assert (request.user, request.stream_interval, request.priority) == ("u", 1, 2)


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({}, Thinking()),
        ({"thinking": {"type": "enabled", "budget_tokens": 50}}, Thinking(True, None, 50)),
        ({"thinking": {"type": "adaptive"}}, Thinking(True)),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, Thinking(False)),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, Thinking(True, "xhigh")),
        ({"output_config": {"effort": "medium"}}, Thinking(None, "medium")),
    ],
)
def test_thinking(fields: dict[str, Any], thinking: Thinking) -> None:
    assert convert(**fields).thinking == thinking
    assert convert(EngineInfo(), **fields).thinking == Thinking()  # it keeps to every budget


def test_a_request_for_a_count_has_the_same_prompt() -> None:
    prompt: dict[str, Any] = {
        "system": "Be brief.",
        "messages": [USER, CALLED, user(RESULT)],
        "tools": [TOOL],
        "tool_choice": {"type": "any"},
        "thinking": {"type": "enabled", "budget_tokens": 5},
    }
    body = parse_count(encoded({"model": "m", **prompt}), ApiSettings())
    counted, asked = count_request(body, ABLE, ApiSettings(), "id-1"), convert(**prompt)
    for name in ("messages", "tools", "tool_choice", "thinking"):
        assert getattr(counted, name) == getattr(asked, name)
    begun = [USER, {"role": "assistant", "content": "It is"}]
    body = parse_count(encoded({"model": "m", "messages": begun}), ApiSettings())
    assert count_request(body, ABLE, ApiSettings(), "id-1").messages[1] == Message("assistant", "It is")
    with pytest.raises(UnsupportedField):
        parse_count(encoded({"model": "m", "messages": [USER], "max_tokens": 3}), ApiSettings())


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
INPUTS = st.dictionaries(TEXTS, st.none() | st.integers(-9, 9) | TEXTS | st.lists(TEXTS, max_size=2), max_size=3)
TURNS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS, st.lists(st.tuples(INPUTS, TEXTS), max_size=3)), min_size=1, max_size=3)


@given(TURNS)
def test_histories_survive(turns: list[tuple[str, str, str, list[tuple[dict[str, Any], str]]]]) -> None:
    """Each turn: a user's text, thinking, an answer's text, and its calls as inputs and results."""
    messages: list[dict[str, Any]] = []
    expected: list[Message] = []
    for number, (asked, thought, said, calls) in enumerate(turns):
        ids = [f"c{number}_{place}" for place in range(len(calls))]
        blocks = [{"type": "thinking", "thinking": thought, "signature": "s"}, text(said)]
        blocks += [{**CALL, "id": i, "input": given} for i, (given, _) in zip(ids, calls, strict=True)]
        messages += [user(text(asked)), {"role": "assistant", "content": blocks}]
        if calls:
            messages.append(
                user(*({**RESULT, "tool_use_id": i, "content": r} for i, (_, r) in zip(ids, calls, strict=True)))
            )
        made = tuple(
            ToolCall(i, "f", json.dumps(given, ensure_ascii=False)) for i, (given, _) in zip(ids, calls, strict=True)
        )
        expected += [Message("user", asked), Message("assistant", said, reasoning=thought or None, tool_calls=made)]
        expected += [Message("tool", result, tool_call_id=i) for i, (_, result) in zip(ids, calls, strict=True)]
    converted = convert(settings=ApiSettings(), messages=[*messages, USER]).messages
    assert converted == (*expected, Message("user", "hi"))
    assert [json.loads(call.arguments) for message in converted for call in message.tool_calls] == [
        given for _, _, _, calls in turns for given, _ in calls
    ]


def test_an_answer_continues_an_assistants_last_message() -> None:
    begun = [USER, {"role": "assistant", "content": "It is "}]
    asked = convert(messages=begun)
    assert (asked.prompt_end, asked.messages[-1]) == ("continued", Message("assistant", "It is "))
    assert convert().prompt_end == "answer"


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        (
            {"tools": [TOOL]},
            "tools",
            "Remove 'tools' to use an answer's beginning: the rest of a message has no tool calls.",
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": []}]},
            "messages[1].content",
            "Give 'messages[1].content' a text to use an answer's beginning.",
        ),
        ({"messages": [USER, CALLED]}, "messages[1].tool_calls", None),
    ],
    ids=str,
)
def test_an_answers_beginning_is_text(fields: dict[str, Any], param: str, sentence: str | None) -> None:
    error = refusal(**{"messages": [USER, {"role": "assistant", "content": "It is"}], **fields})
    assert error.param == param
    assert sentence in (None, str(error))
