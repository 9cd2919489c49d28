"""vLLM's extensions of a chat request: the values that reach the engine, and what is refused with its path."""

import json
from typing import Any

import pytest

from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.decoding import Decoding
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.types import GenerateRequest, ResponseFormat

SETTINGS = ApiSettings()
USER = {"role": "user", "content": "hi"}
BEGUN = [USER, {"role": "assistant", "content": "It is "}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def asked(**fields: Any) -> GenerateRequest:
    body = {"model": "m", "messages": [USER], **fields}
    parsed = parse_chat(json.dumps(body).encode(), SETTINGS)
    return to_request(parsed, ModelCard("m", "model"), EngineInfo(tools=True), SETTINGS, "r")


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        asked(**fields)
    return caught.value


def test_parameters_of_decoding_reach_the_engine() -> None:
    assert asked(
        logit_bias={"5": -100, "0": 2.5, "7": None},
        allowed_token_ids=[3, 4.0],
        stop_token_ids=[1],
        bad_words=["no"],
        skip_special_tokens=False,
        spaces_between_special_tokens=False,
        include_stop_str_in_output=True,
    ).sampling.decoding == Decoding(
        logit_bias=((5, -100.0), (0, 2.5)),
        allowed_token_ids=(3, 4),
        stop_token_ids=(1,),
        bad_words=("no",),
        skip_special_tokens=False,
        spaces_between_special_tokens=False,
        include_stop_str_in_output=True,
    )


def test_a_salt_reaches_the_engine() -> None:
    assert (asked(cache_salt="s").cache_salt, asked().cache_salt) == ("s", None)


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"logit_bias": {"5": 100.5}}, "logit_bias.5", "Set 'logit_bias.5' to at most 100, not 100.5."),
        ({"logit_bias": {"5": "1"}}, "logit_bias.5", "Set 'logit_bias.5' to a number, not a string."),
        (
            {"logit_bias": {"the": 1}},
            "logit_bias.the",
            "Change 'logit_bias.the': the key is the id of a token in digits, such as \"42\".",
        ),
        (
            {"logit_bias": {str(token): 1 for token in range(1025)}},
            "logit_bias",
            "Give 'logit_bias' at most 1024 entries.",
        ),
        ({"stop_token_ids": [2, -1]}, "stop_token_ids[1]", "Set 'stop_token_ids[1]' to at least 0, not -1."),
        ({"stop_token_ids": [1] * 129}, "stop_token_ids", "Give 'stop_token_ids' at most 128 entries."),
        ({"allowed_token_ids": []}, "allowed_token_ids", "Give 'allowed_token_ids' at least 1 entry."),
        (
            {"allowed_token_ids": [1.5]},
            "allowed_token_ids[0]",
            "Set 'allowed_token_ids[0]' to an integer, not a number.",
        ),
        ({"bad_words": [""]}, "bad_words[0]", "Give 'bad_words[0]' at least 1 character."),
        ({"bad_words": "no"}, "bad_words", "Set 'bad_words' to a list, not a string."),
        ({"cache_salt": ""}, "cache_salt", "Give 'cache_salt' at least 1 character."),
        ({"guided_regex": "a"}, "guided_regex", "Remove 'guided_regex': use 'structured_outputs.regex'."),
        ({"best_of": 2}, "best_of", "Remove 'best_of': set 'n', and choose among the answers."),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_in_one_sentence(fields: dict[str, Any], param: str, sentence: str) -> None:
    error = refusal(**fields)
    assert (error.param, str(error)) == (param, sentence)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"json": {"type": "object"}}, ResponseFormat("json_schema", "", {"type": "object"})),
        ({"json": {}}, ResponseFormat("json_schema", "", {})),
        ({"json_object": True}, ResponseFormat("json_object")),
        ({"regex": "[a-z]+", "json_object": False, "whitespace_pattern": None}, ResponseFormat("regex", rule="[a-z]+")),
        ({"choice": ["yes", "no"], "disable_any_whitespace": False}, ResponseFormat("choice", choices=("yes", "no"))),
        ({"grammar": 'root ::= "a"'}, ResponseFormat("grammar", rule='root ::= "a"')),
        ({"structural_tag": "{}"}, ResponseFormat("structural_tag", rule="{}")),
    ],
    ids=str,
)
def test_a_rule_for_the_text_reaches_the_engine(given: dict[str, Any], rule: ResponseFormat) -> None:
    assert asked(structured_outputs=given, tools=TOOLS).sampling.response_format == rule


KINDS = "'json', 'json_object', 'regex', 'choice', 'grammar', 'structural_tag'"


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"structured_outputs": {}}, "structured_outputs", f"Give 'structured_outputs' exactly one of {KINDS}."),
        (
            {"structured_outputs": {"regex": "a", "json": {}}},
            "structured_outputs",
            f"Give 'structured_outputs' exactly one of {KINDS}.",
        ),
        (
            {"structured_outputs": {"json": "{}"}},
            "structured_outputs.json",
            "Set 'structured_outputs.json' to an object, not a string.",
        ),
        (
            {"structured_outputs": {"choice": []}},
            "structured_outputs.choice",
            "Give 'structured_outputs.choice' at least 1 entry.",
        ),
        (
            {"structured_outputs": {"regex": "a", "whitespace_pattern": " "}},
            "structured_outputs.whitespace_pattern",
            "Remove 'structured_outputs.whitespace_pattern': it is an option of the engine, not of a request.",
        ),
        ({"structured_outputs": ["a"]}, "structured_outputs", "Set 'structured_outputs' to an object, not a list."),
        (
            {"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}},
            "structured_outputs",
            "Remove 'response_format' or 'structured_outputs'.",
        ),
        (
            {"structured_outputs": {"regex": "a"}, "tools": TOOLS, "tool_choice": "required"},
            "tool_choice",
            "Set 'tool_choice' to \"auto\" or \"none\" to use 'structured_outputs': a call has no text.",
        ),
    ],
    ids=str,
)
def test_a_rule_that_cannot_hold_is_refused(fields: dict[str, Any], param: str, sentence: str) -> None:
    error = refusal(**fields)
    assert (error.param, str(error)) == (param, sentence)


def test_a_deep_schema_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(120):
        schema = {"items": schema}
    assert refusal(structured_outputs={"json": schema}).param == "structured_outputs.json"


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({}, "answer"),
        ({"add_generation_prompt": True}, "answer"),
        ({"add_generation_prompt": False}, "message"),
        ({"continue_final_message": True, "messages": BEGUN}, "continued"),
        ({"continue_final_message": True, "add_generation_prompt": False, "messages": BEGUN}, "continued"),
    ],
    ids=str,
)
def test_the_end_of_the_prompt_reaches_the_engine(fields: dict[str, Any], end: str) -> None:
    assert asked(**fields).prompt_end == end


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"add_generation_prompt": True, "messages": BEGUN}, "add_generation_prompt"),
        ({}, "messages[0].role"),
        ({"messages": [USER, {"role": "assistant", "content": ""}]}, "messages[1].content"),
        ({"messages": [USER, {"role": "assistant", "content": "a", "tool_calls": [CALL]}]}, "messages[1].tool_calls"),
        ({"messages": BEGUN, "tools": TOOLS}, "tools"),
    ],
    ids=str,
)
def test_a_message_that_cannot_be_continued_is_refused(fields: dict[str, Any], param: str) -> None:
    error = refusal(continue_final_message=True, **fields)
    assert not isinstance(error, UnsupportedField)
    assert error.param == param
