import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.requests import parse_chat
from serving.api.schema import NEUTRAL, ChatBody
from serving.errors import InvalidRequest, UnsupportedField

BASE = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def parse(**fields: Any) -> ChatBody:
    return parse_chat(encoded({**BASE, **fields}), max_messages=8)


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    return caught.value


def message(**fields: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "hi", **fields}]


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"model": None}, "model", "Set 'model': it is required."),
        ({"messages": None}, "messages", "Set 'messages': it is required."),
        ({"messages": []}, "messages", "Give 'messages' at least 1 entry."),
        ({"messages": "hi"}, "messages", "Set 'messages' to a list, not a string."),
        ({"messages": ["hi"]}, "messages[0]", "Set 'messages[0]' to an object, not a string."),
        (
            {"messages": BASE["messages"] * 9},
            "messages",
            "Shorten 'messages': it has 9 entries, at most 8 are accepted.",
        ),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "Set 'messages[0].content': it is required."),
        (
            {"messages": message(content=3)},
            "messages[0].content",
            "Set 'messages[0].content' to a string or a list of text parts, not a number.",
        ),
        ({"temperature": 2.5}, "temperature", "Set 'temperature' to at most 2, not 2.5."),
        ({"temperature": "1"}, "temperature", "Set 'temperature' to a number, not a string."),
        ({"temperature": True}, "temperature", "Set 'temperature' to a number, not true."),
        ({"top_p": 0}, "top_p", "Set 'top_p' to more than 0, not 0."),
        ({"n": 0}, "n", "Set 'n' to at least 1, not 0."),
        ({"n": 1.5}, "n", "Set 'n' to an integer, not a number."),
        ({"seed": 2**70}, "seed", "Set 'seed' to an integer, not a number."),
        ({"stream": "yes"}, "stream", "Set 'stream' to true or false, not a string."),
        ({"stop": 3}, "stop", "Set 'stop' to a string or a list of strings, not a number."),
        ({"stop": ["a", ""]}, "stop[1]", "Give 'stop[1]' at least 1 character."),
        ({"stop": ["a"] * 17}, "stop", "Give 'stop' at most 16 entries."),
        ({"metadata": {"a": 1}}, "metadata.a", "Set 'metadata.a' to a string, not a number."),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "Give 'metadata' at most 16 entries."),
        ({"user": "x" * 513}, "user", "Give 'user' at most 512 characters."),
        ({"moa": "trace"}, "moa", "Set 'moa' to an object, not a string."),
        (
            {"response_format": {"type": "xml"}},
            "response_format.type",
            "Set 'response_format.type' to 'text', 'json_object' or 'json_schema', not \"xml\".",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
            "Set 'response_format.json_schema.schema': it is required.",
        ),
        (
            {"stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
            "Set 'stream_options.include_usage' to true or false, not a number.",
        ),
    ],
)
def test_a_wrong_value_is_named_in_one_sentence(fields: dict[str, Any], param: str, sentence: str) -> None:
    error = refusal(**fields)
    assert (error.param, str(error), error.code) == (param, sentence, "invalid_request")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"functions": [{}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {}}, "audio"),
        ({"prediction": {}}, "prediction"),
        ({"store": True}, "store"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"verbosity": "low"}, "verbosity"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"guided_json": {}}, "guided_json"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x"),
        ({"messages": message(role="tool")}, "messages[0].role"),
        ({"messages": message(tool_calls=[{}])}, "messages[0].tool_calls"),
        ({"messages": message(x=1)}, "messages[0].x"),
        ({"messages": message(content=[{"type": "image_url", "image_url": {}}])}, "messages[0].content[0].type"),
        ({"messages": message(content=[{"type": "text", "text": "a", "x": 1}])}, "messages[0].content[0].x"),
        ({"response_format": {"type": "text", "strict": True}}, "response_format.strict"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert isinstance(error, UnsupportedField)
    assert error.param == param
    assert str(error).startswith(f"Remove '{param}': ")


def test_a_misspelt_field_is_told_its_neighbour() -> None:
    assert str(refusal(temprature=1)) == "Remove 'temprature': there is no such field (the nearest is 'temperature')."


def test_a_part_that_is_no_text_is_told_what_it_is() -> None:
    error = refusal(messages=message(content=[{"type": "input_audio", "input_audio": {}}]))
    assert "content parts of the type 'input_audio' are not supported, only 'text'" in str(error)


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_values_that_ask_for_nothing_are_accepted(name: str) -> None:
    for value in (None, *NEUTRAL[name]):
        assert parse(**{name: value}) == parse()


def test_every_field_of_openais_client_is_honoured_or_refused_by_its_own_name() -> None:
    openai = pytest.importorskip("openai")
    fields = openai.types.chat.completion_create_params.CompletionCreateParamsBase.__annotations__
    assert set(fields) - set(ChatBody.model_fields) == set(NEUTRAL)


def test_null_is_not_given_for_every_field() -> None:
    nulls = dict.fromkeys(set(ChatBody.model_fields) - {"model", "messages"})
    assert parse(**nulls) == parse()
    assert parse(messages=message(name=None)) == parse()


def test_a_neutral_value_of_another_type_is_not_neutral() -> None:
    assert refusal(store=0).param == "store"
    assert refusal(parallel_tool_calls=1).param == "parallel_tool_calls"


def test_an_answer_of_openais_client_can_be_sent_back_as_it_came() -> None:
    openai = pytest.importorskip("openai")
    answer = openai.types.chat.ChatCompletionMessage(role="assistant", content="Hello")
    assert parse(messages=[answer.model_dump()]).messages[0].content[0].text == "Hello"


def test_huge_input_is_not_echoed() -> None:
    for fields in ({"x" * 10_000: 1}, {"metadata": {"k" * 10_000: 1}}, {"response_format": {"type": "y" * 10_000}}):
        error = refusal(**fields)
        assert len(str(error)) < 300
        assert len(error.param or "") < 120


@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b'{"model": NaN}', b'"\xff"', b'{"a":"\\ud800"}', b"[" * 100_000])
def test_what_is_no_json_is_refused_with_its_place(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^Send valid JSON: the body cannot be read at line \d+, column \d+\.$"):
        parse_chat(body, 8)


@pytest.mark.parametrize(
    ("body", "kind"), [(b"[]", "a list"), (b"3", "a number"), (b"null", "null"), (b'""', "a string")]
)
def test_json_that_is_no_object_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises(InvalidRequest, match=f"Send a JSON object as the body, not {kind}"):
        parse_chat(body, 8)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(sorted({*ChatBody.model_fields, *NEUTRAL})) | st.text(max_size=12)


@given(st.dictionaries(NAMES, JSON, max_size=6), st.booleans())
def test_any_json_is_parsed_or_refused_in_a_sentence(fields: dict[str, Any], complete: bool) -> None:
    said = ""
    try:
        parsed = parse_chat(encoded({**fields, **(BASE if complete else {})}), 8)
    except InvalidRequest as error:
        said = str(error)
    else:
        assert parsed.model
    assert re.fullmatch(r"[\s\S]{1,400}\.|", said)
    assert not any(jargon in said for jargon in ("pydantic", "Input should", "validation error", "https://"))


@given(JSON)
def test_any_message_is_parsed_or_refused(content: Any) -> None:
    for messages in (content, [content], message(content=content), [{"role": content, "content": "x"}]):
        try:
            parsed = parse_chat(encoded({"model": "m", "messages": messages}), 8)
        except InvalidRequest:
            continue
        assert len(parsed.messages) == len(messages)
