"""Parsing of chat requests: JSON to the validated body, and the body to the engine's request."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.schemas.chat import ChatBody
from serving.api.schemas.chat_fields import NEUTRAL
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Message
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.types import GenerateRequest, MoaOptions, ResponseFormat, Sampling

BASE = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def parse(**fields: Any) -> ChatBody:
    return parse_chat(encoded({**BASE, **fields}), ApiSettings(max_messages=8))


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
            "Set 'messages[0].content' to a string or a list of parts, not a number.",
        ),
        ({"temperature": 2.5}, "temperature", "Set 'temperature' to at most 2, not 2.5."),
        ({"temperature": "1"}, "temperature", "Set 'temperature' to a number, not a string."),
        ({"temperature": True}, "temperature", "Set 'temperature' to a number, not true."),
        ({"top_p": 0}, "top_p", "Set 'top_p' to more than 0, not 0."),
        ({"n": 0}, "n", "Set 'n' to at least 1, not 0."),
        ({"n": 1.5}, "n", "Set 'n' to an integer, not a number."),
        ({"seed": 2**70}, "seed", "Set 'seed' to a smaller integer, not 1.1805916207174113e+21."),
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
        ({"functions": [{}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {}}, "audio"),
        ({"best_of": 2}, "best_of"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"length_penalty": 1.5}, "length_penalty"),
        ({"truncate_prompt_tokens": 100}, "truncate_prompt_tokens"),
        ({"echo": True}, "echo"),
        ({"chat_template": "{{ messages }}"}, "chat_template"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"guided_json": {}}, "guided_json"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x"),
        ({"messages": message(role="function")}, "messages[0].role"),
        ({"messages": message(tool_call_id="call_1")}, "messages[0].tool_call_id"),
        ({"messages": message(tool_calls=[{}])}, "messages[0].tool_calls"),
        ({"messages": message(x=1)}, "messages[0].x"),
        ({"messages": message(content=[{"type": "input_audio", "input_audio": {}}])}, "messages[0].content[0].type"),
        ({"messages": message(content=[{"type": "file", "file": {}}])}, "messages[0].content[0].type"),
        ({"messages": message(content=[{"type": "video_url", "video_url": {}}])}, "messages[0].content[0].type"),
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
    assert str(refusal(temprature=1)) == "Remove 'temprature': there is no such field (did you mean 'temperature'?)."


def test_an_unknown_role_is_refused_before_its_other_fields() -> None:
    messages = [*message(), {"x": "call_1", "role": "function", "content": "42"}]
    assert str(refusal(messages=messages)) == (
        "Remove 'messages[1].role': messages with the role 'function' are not supported,"
        " only 'system', 'developer', 'user', 'assistant', 'tool'."
    )


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
    assert set(fields) - set(ChatBody.model_fields) <= set(NEUTRAL)


def test_null_is_not_given_for_every_field() -> None:
    nulls = dict.fromkeys(set(ChatBody.model_fields) - {"model", "messages"})
    assert parse(**nulls) == parse()
    assert parse(messages=message(name=None)) == parse()


def test_a_neutral_value_of_another_type_is_not_neutral() -> None:
    assert refusal(echo=0).param == "echo"


def test_an_answer_of_openais_client_can_be_sent_back_as_it_came() -> None:
    openai = pytest.importorskip("openai")
    answer = openai.types.chat.ChatCompletionMessage(role="assistant", content="Hello")
    assert parse(messages=[answer.model_dump()]).messages[0].content[0].text == "Hello"
    parsed = openai.types.chat.ParsedChatCompletionMessage(role="assistant", content="{}", parsed={})
    assert parse(messages=[parsed.model_dump()]).messages[0].content[0].text == "{}"
    by_litellm = {"role": "assistant", "content": "Hi", "provider_specific_fields": {"refusal": None, "reasoning": ""}}
    assert parse(messages=[by_litellm]).messages[0].content[0].text == "Hi"


@pytest.mark.parametrize(
    "turn",
    [
        {"content": None, "refusal": "I cannot."},
        {"content": [{"type": "refusal", "refusal": "I cannot."}], "annotations": [{"type": "url_citation"}]},
        {"content": "I ", "refusal": "cannot.", "reasoning_details": []},
    ],
)
def test_a_refusal_of_another_provider_is_read_as_text(turn: dict[str, Any]) -> None:
    request = convert(messages=[{"role": "user", "content": "x"}, {"role": "assistant", **turn}])
    assert request.messages[1] == Message("assistant", "I cannot.")


def test_only_the_assistant_refuses() -> None:
    assert refusal(messages=[{"role": "user", "content": "x", "refusal": "no"}]).param == "messages[0].refusal"
    part = {"type": "refusal", "refusal": "no"}
    assert refusal(messages=[{"role": "user", "content": [part]}]).param == "messages[0].content[0].type"


def test_huge_input_is_not_echoed() -> None:
    for fields in ({"x" * 10_000: 1}, {"metadata": {"k" * 10_000: 1}}, {"response_format": {"type": "y" * 10_000}}):
        error = refusal(**fields)
        assert len(str(error)) < 300
        assert len(error.param or "") < 120


@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b'{"model": NaN}', b'{"a":"\\ud800"}'])
def test_what_is_no_json_is_refused_with_its_place(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^Send valid JSON: the body cannot be parsed at line \d+, column \d+\.$"):
        parse_chat(body, ApiSettings())


@pytest.mark.parametrize(("body", "place"), [(b'"\xff"', 1), (b'{"model": "caf' + b'\xe9"}', 14)])
def test_a_body_in_another_encoding_is_refused_with_its_place(body: bytes, place: int) -> None:
    with pytest.raises(InvalidRequest, match=f"^Send the body in UTF-8: byte {place} is not.$"):
        parse_chat(body, ApiSettings())


@pytest.mark.parametrize(
    ("body", "kind"), [(b"[]", "a list"), (b"3", "a number"), (b"null", "null"), (b'""', "a string")]
)
def test_json_that_is_no_object_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises(InvalidRequest, match=f"Send a JSON object as the body, not {kind}"):
        parse_chat(body, ApiSettings())


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
        parsed = parse_chat(encoded({**fields, **(BASE if complete else {})}), ApiSettings())
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
            parsed = parse_chat(encoded({"model": "m", "messages": messages}), ApiSettings())
        except InvalidRequest:
            continue
        assert len(parsed.messages) == len(messages)


# -- the body to the engine's request ---------------------------------------------------------------------

MODEL, RECIPE = ModelCard("m", "model"), ModelCard("r", "recipe")


def convert(card: ModelCard = MODEL, *, limits: dict[str, Any] | None = None, **fields: Any) -> GenerateRequest:
    body = {"model": card.id, "messages": [{"role": "user", "content": "hi"}], **fields}
    settings = ApiSettings(**(limits or {}))
    return to_request(parse_chat(encoded(body), settings), card, EngineInfo(), settings, "id-1")


def test_every_honoured_field_arrives() -> None:
    schema = {"type": "object"}
    request = convert(
        RECIPE,
        temperature=0.5,
        top_p=0.9,
        max_tokens=10,
        n=2,
        stop=["a", "b"],
        seed=-7,
        presence_penalty=1,
        frequency_penalty=-1,
        logprobs=True,
        top_logprobs=3,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
        stream=True,
        user="u",
        metadata={"a": "b"},
        top_k=5,
        min_p=0.1,
        repetition_penalty=1.1,
        ignore_eos=True,
        min_tokens=2,
        priority=3,
        moa={"trace": True, "layout": "paper"},
    )
    assert request == GenerateRequest(
        request_id="id-1",
        messages=(Message("user", "hi"),),
        sampling=Sampling(
            temperature=0.5,
            top_p=0.9,
            max_tokens=10,
            stop=("a", "b"),
            seed=-7,
            n=2,
            presence_penalty=1.0,
            frequency_penalty=-1.0,
            logprobs=3,
            response_format=ResponseFormat("json_schema", "x", schema),
            top_k=5,
            min_p=0.1,
            repetition_penalty=1.1,
            ignore_eos=True,
            min_tokens=2,
        ),
        priority=3,
        deadline_s=600.0,
        stream_interval=1,
        user="u",
        metadata={"a": "b"},
        moa=MoaOptions(trace=True, overrides={"layout": "paper"}),
    )


def test_what_is_not_given_stays_unset() -> None:
    request = convert()
    assert request.sampling == Sampling()
    assert (request.streaming, request.moa, request.user, request.priority) == (False, MoaOptions(), None, 0)


def test_conversations_pass_through_intact() -> None:
    request = convert(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "In French."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a\n"}, {"type": "text", "text": " b"}],
                "name": "Ann",
            },
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "<|im_start|>\u0000 é"},
        ]
    )
    assert request.messages == (
        Message("system", "Be brief."),
        Message("system", "In French."),
        Message("user", "a\n b", "Ann"),
        Message("assistant", ""),
        Message("user", "<|im_start|>\u0000 é"),
    )


def test_a_single_stop_text_is_a_list_of_one() -> None:
    assert convert(stop="\n").sampling.stop == ("\n",)


@pytest.mark.parametrize(
    ("given", "wanted"), [({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 4}, 4), ({}, None)]
)
def test_logprobs_are_off_or_a_number_of_alternatives(given: dict[str, Any], wanted: int | None) -> None:
    assert convert(**given).sampling.logprobs == wanted


def test_both_names_of_max_tokens_mean_the_same() -> None:
    assert convert(max_completion_tokens=5).sampling.max_tokens == 5
    assert convert(max_completion_tokens=5, max_tokens=5).sampling.max_tokens == 5


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens"),
        ({"max_tokens": 101}, "max_tokens"),
        ({"max_completion_tokens": 101}, "max_completion_tokens"),
        ({"n": 5}, "n"),
        ({"min_tokens": 6, "max_tokens": 5}, "min_tokens"),
        ({"min_tokens": 101}, "min_tokens"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"top_logprobs": 1, "logprobs": False}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "text", "json_schema": {"name": "x", "schema": {}}}},
            "response_format.json_schema",
        ),
        ({"moa": {"trace": "yes"}}, "moa.trace"),
        ({"moa": {"trace": 1}}, "moa.trace"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        convert(limits={"max_tokens": 100, "max_choices": 4}, **fields)
    assert caught.value.param == param


def test_a_whole_number_may_be_written_as_a_float() -> None:
    body = parse(n=2.0, seed=-3.0, temperature=1.0)
    assert (body.n, body.seed, body.temperature) == (2, -3, 1)


def test_null_in_moa_is_not_given() -> None:
    nulls = {"trace": None, "recipe": None, "layout": None}
    assert convert(MODEL, moa=nulls).moa == convert(RECIPE, moa=nulls).moa == MoaOptions()


def test_recipe_options_are_for_recipes() -> None:
    with pytest.raises(UnsupportedField) as caught:
        convert(MODEL, moa={"trace": True, "layout": "paper"})
    assert caught.value.param == "moa.layout"
    assert convert(RECIPE, moa={"layout": "paper"}).moa == MoaOptions(overrides={"layout": "paper"})


@pytest.mark.parametrize(
    ("given", "wanted"), [({"type": "text"}, None), ({"type": "json_object"}, ResponseFormat("json_object"))]
)
def test_response_formats_without_a_schema(given: dict[str, Any], wanted: ResponseFormat | None) -> None:
    assert convert(response_format=given).sampling.response_format == wanted
