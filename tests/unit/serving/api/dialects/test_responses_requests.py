"""Parsing of Responses requests: what is accepted, refused, and given to the engine."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.dialects.responses_requests import parse_responses, responses_request
from serving.api.dialects.sealed import seal
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engine import EngineInfo
from serving.errors import InvalidRequest
from serving.types import GenerateRequest, ResponseFormat, Sampling
from tests.unit.serving.api.dialects.test_chat_requests import encoded

ABLE = EngineInfo(tools=True, thinking=True)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": SCHEMA, "strict": False}
OTHER = {"type": "function", "name": "now", "parameters": None}
USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}


def convert(info: EngineInfo = ABLE, settings: ApiSettings | None = None, **fields: Any) -> GenerateRequest:
    settings = settings or ApiSettings(max_messages=8, max_tools=3, max_tokens=100)
    body = parse_responses(encoded({"model": "m", "input": "hi", **fields}), settings)
    return responses_request(body, ModelCard("m", "model"), info, settings, "id-1")


def refusal(info: EngineInfo = ABLE, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        convert(info, **fields)
    assert caught.value.status == 400
    return caught.value


def test_a_text_is_a_users_message_and_instructions_come_first() -> None:
    assert convert().messages == (Message("user", "hi"),)
    request = convert(instructions="Be brief.", input="hi")
    assert request.messages == (Message("system", "Be brief."), Message("user", "hi"))
    assert (request.request_id, request.stream_interval, request.session) == ("id-1", None, None)


def test_all_kinds_of_messages_and_parts_become_text() -> None:
    request = convert(
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "phase": None,
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "c", "annotations": [], "logprobs": []},
                    {"type": "refusal", "refusal": " No."},
                ],
            },
            {"role": "system", "content": "d"},
        ]
    )
    assert request.messages == (
        Message("system", "Rules."),
        Message("user", "ab"),
        Message("assistant", "c No."),
        Message("system", "d"),
    )


def test_items_of_one_answer_are_one_message() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None}
    thought = [{"type": "reasoning_text", "text": "Hm."}]
    said = {"type": "message", "role": "assistant", "content": "I look."}
    request = convert(
        input=[
            *(USER, {**reasoning, "content": thought}, said, CALL, {**CALL, "call_id": "c2"}, RESULT),
            {**RESULT, "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
            {**said, "content": "So."},
        ]
    )
    calls = (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}"))
    assert request.messages[1:] == (
        Message("assistant", "I look.", reasoning="Hm.", tool_calls=calls),
        Message("tool", "sunny", tool_call_id="c1"),
        Message("tool", "rain", tool_call_id="c2"),
        Message("assistant", "So."),
    )


def test_calls_that_were_made_one_after_the_other_stay_so() -> None:
    second = [{**CALL, "call_id": "c2"}, {**RESULT, "call_id": "c2"}]
    roles = [message.role for message in convert(input=[USER, CALL, RESULT, *second]).messages]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]


def test_two_answers_in_a_row_stay_two_messages() -> None:
    said = {"role": "assistant", "content": "a"}
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}
    request = convert(input=[said, thought, {**said, "content": "b"}, {**said, "content": "c"}, USER])
    assert request.messages[:3] == (
        Message("assistant", "a"),
        Message("assistant", "b", reasoning="Hm."),
        Message("assistant", "c"),
    )


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"encrypted_content": seal("Hm.")}, "Hm."),
        ({"encrypted_content": seal("Other."), "content": [{"type": "reasoning_text", "text": "Hm."}]}, "Hm."),
        ({"encrypted_content": "gAAAAABo"}, None),
        ({"encrypted_content": "moa1.?"}, None),
        ({"summary": [{"type": "summary_text", "text": "About."}]}, None),
    ],
)
def test_reasoning_comes_back_from_either_field(fields: dict[str, Any], reasoning: str | None) -> None:
    items = [USER, {"type": "reasoning", "id": "rs_1", "summary": [], **fields}, CALL]
    assert convert(input=items).messages[1].reasoning == reasoning


def test_tools_and_their_choice_reach_the_engine() -> None:
    request = convert(tools=[TOOL, OTHER], tool_choice={"type": "function", "name": "now"}, parallel_tool_calls=False)
    assert request.tools == (Tool("get_weather", "Weather.", SCHEMA, False), Tool("now"))
    assert request.tool_choice == ToolChoice("named", "now")
    assert not request.parallel_tool_calls
    for mode in ("none", "auto", "required"):
        assert convert(tools=[TOOL], tool_choice=mode).tool_choice == ToolChoice(mode)
    assert convert(tools=[], tool_choice="none", parallel_tool_calls=False).tool_choice == ToolChoice()


def test_of_allowed_tools_the_model_gets_these_alone() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "now"}]}
    request = convert(tools=[TOOL, OTHER], tool_choice=allowed)
    assert ([tool.name for tool in request.tools], request.tool_choice) == (["now"], ToolChoice("required"))


def test_sampling_thinking_and_format_reach_the_engine() -> None:
    request = convert(
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=2,
        text={"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}, "verbosity": "low"},
        reasoning={"effort": "max", "summary": "auto"},
        stream=True,
        stream_options={"include_obfuscation": False},
        user="u",
        metadata={"a": "b"},
        priority=3,
    )
    form = ResponseFormat("json_schema", "n", SCHEMA)
    assert request.sampling == Sampling(0.5, 0.9, 7, logprobs=2, response_format=form)
    assert request.thinking == Thinking(True, "xhigh")
    assert (request.stream_interval, request.user, request.metadata, request.priority) == (1, "u", {"a": "b"}, 3)
    assert convert(text={"format": {"type": "json_object"}}).sampling.response_format == ResponseFormat("json_object")
    assert convert(text={"format": {"type": "text"}}).sampling == Sampling()
    assert convert(include=["message.output_text.logprobs"]).sampling.logprobs == 0
    assert convert(top_logprobs=0).sampling.logprobs is None
    assert convert(reasoning={"effort": "none"}).thinking == Thinking(False, "none")
    assert convert(EngineInfo(), reasoning={"effort": "none", "summary": None}).thinking == Thinking()
    assert convert(prompt_cache_key="a").session == convert(prompt_cache_key="a", input="ho").session != None  # noqa: E711


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
TURNS = st.lists(st.tuples(TEXTS, TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=3), TEXTS), min_size=1, max_size=3)


@given(TURNS, st.booleans())
def test_histories_survive(turns: list[tuple[str, str, list[tuple[str, str]], str]], sealed: bool) -> None:
    """Each turn: a user's text, reasoning, calls as arguments and results, and the answer to them."""
    items: list[dict[str, Any]] = []
    expected: list[Message] = []
    for number, (asked, thought, calls, answer) in enumerate(turns):
        items.append({"role": "user", "content": [{"type": "input_text", "text": asked}]})
        expected.append(Message("user", asked))
        plain = {"content": [{"type": "reasoning_text", "text": thought}]}
        items.append({"type": "reasoning", "summary": []} | ({"encrypted_content": seal(thought)} if sealed else plain))
        ids = [f"c{number}_{place}" for place in range(len(calls))]
        items += [{**CALL, "call_id": i, "arguments": given} for i, (given, _) in zip(ids, calls, strict=True)]
        items += [{**RESULT, "call_id": i, "output": result} for i, (_, result) in zip(ids, calls, strict=True)]
        items.append({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": answer}]})
        if calls:
            made = tuple(ToolCall(i, "f", given) for i, (given, _) in zip(ids, calls, strict=True))
            expected.append(Message("assistant", "", reasoning=thought or None, tool_calls=made))
            expected += [Message("tool", result, tool_call_id=i) for i, (_, result) in zip(ids, calls, strict=True)]
        expected.append(Message("assistant", answer, reasoning=None if calls else thought or None))
    assert convert(settings=ApiSettings(), input=items).messages == tuple(expected)
