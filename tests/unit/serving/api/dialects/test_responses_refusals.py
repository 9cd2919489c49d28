"""Responses requests: hints that are accepted, and what is refused by its name."""

from typing import Any

import pytest

from serving.api.schemas.responses import NEUTRAL
from serving.engine import EngineInfo
from serving.errors import UnsupportedField
from tests.unit.serving.api.dialects.test_responses_requests import (
    CALL,
    RESULT,
    TOOL,
    USER,
    convert,
    refusal,
)

HINTS: list[dict[str, Any]] = [
    {"store": True},
    {"store": False},
    {"service_tier": "flex"},
    {"safety_identifier": "s"},
    {"prompt_cache_retention": "24h"},
    {"prompt_cache_options": {"mode": "implicit"}},
    {"client_metadata": {"x-codex-installation-id": "i"}},
    {"truncation": "disabled"},
    {"truncation": "auto"},
    {"background": False},
    {"max_tool_calls": 5},
    {"include": ["reasoning.encrypted_content", "web_search_call.results"]},
    {"reasoning": {"context": "auto", "generate_summary": None}},
    {"text": {"verbosity": "high"}},
    {"tools": []},
    {"previous_response_id": None, "conversation": None, "instructions": None, "tool_choice": None},
]


@pytest.mark.parametrize("fields", HINTS)
def test_what_asks_for_nothing_is_accepted(fields: dict[str, Any]) -> None:
    assert convert(**fields) == convert()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        *(({name: "x"}, name) for name in NEUTRAL),
        ({"background": True}, "background"),
        ({"reasoning": {"context": "all_turns"}}, "reasoning.context"),
        ({"reasoning": {"deep": True}}, "reasoning.deep"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"size": 1}}, "text.size"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL, {"type": "custom", "name": "apply_patch"}]}, "tools[1].type"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tool_choice": {"type": "hosted"}, "tools": [TOOL]}, "tool_choice.type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": [{**RESULT, "output": [{"type": "input_audio"}]}]}, "input[0].output[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "x"}]}]},
            "input[0].content[0].file_id",
        ),
        ({"input": [{**USER, "name": "bob"}]}, "input[0].name"),
        ({"input": [{**RESULT, "namespace": "mcp"}]}, "input[0].namespace"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert (type(error), error.param) == (UnsupportedField, param)


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"input": None}, "input", "Set 'input': it is required."),
        ({"input": []}, "input", "Give 'input' at least 1 entry."),
        ({"input": 3}, "input", "Set 'input' to a string or a list of items, not a number."),
        ({"input": [3]}, "input[0]", "Set 'input[0]' to an object, not a number."),
        ({"input": [USER] * 9}, "input", "Shorten 'input': it has 9 entries, at most 8 are accepted."),
        ({"input": [{"role": "user"}]}, "input[0].content", "Set 'input[0].content': it is required."),
        (
            {"input": [{"role": "bot", "content": "x"}]},
            "input[0].role",
            "Set 'input[0].role' to 'user', 'assistant', 'system' or 'developer', not \"bot\".",
        ),
        ({"input": [{**USER, "type": 3}]}, "input[0].type", "Set 'input[0].type' to a string, not a number."),
        (
            {"input": [{"role": "user", "content": [{"text": "a"}]}]},
            "input[0].content[0].type",
            "Set 'input[0].content[0].type': it is required.",
        ),
        (
            {"input": [{**CALL, "arguments": {}}]},
            "input[0].arguments",
            "Set 'input[0].arguments' to a string, not an object.",
        ),
        (
            {"input": [USER, CALL, {**RESULT, "call_id": "c9"}]},
            "input[2].call_id",
            "Set 'input[2].call_id' to the id of a tool call of the answer before it, not \"c9\".",
        ),
        (
            {"tool_choice": "always"},
            "tool_choice",
            "Set 'tool_choice' to 'none', 'auto', 'required' or an object, not \"always\".",
        ),
        ({"tool_choice": "required"}, "tool_choice", "Set 'tools' to use 'tool_choice', or remove 'tool_choice'."),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "name": "g"}},
            "tool_choice.name",
            "Set 'tool_choice.name' to the name of one of the tools, not \"g\".",
        ),
        (
            {"tools": [TOOL, TOOL]},
            "tools[1].name",
            "Change 'tools[1].name': there is another tool named 'get_weather'.",
        ),
        (
            {"tools": [{**TOOL, "name": "a b"}]},
            "tools[0].name",
            "Set 'tools[0].name' to 1 to 64 letters, digits, '_' and '-', not \"a b\".",
        ),
        (
            {"tools": [{**TOOL, "parameters": {"type": "array"}}]},
            "tools[0].parameters.type",
            'Set \'tools[0].parameters.type\' to "object", not "array".',
        ),
        (
            {"text": {"format": {"type": "json_schema"}}},
            "text.format.schema",
            "Set 'text.format.schema': it is required.",
        ),
        ({"max_output_tokens": 101}, "max_output_tokens", "Set 'max_output_tokens' to at most 100, not 101."),
        ({"max_output_tokens": 0}, "max_output_tokens", "Set 'max_output_tokens' to at least 1, not 0."),
        ({"stream_options": {}}, "stream_options", "Remove 'stream_options' or set 'stream' to true."),
        ({"temperature": "1"}, "temperature", "Set 'temperature' to a number, not a string."),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, sentence: str) -> None:
    error = refusal(**fields)
    assert (error.param, str(error)) == (param, sentence)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"input": [USER, CALL]}, "tools"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"moa": {"recipe": "x"}}, "moa.recipe"),
    ],
)
def test_what_the_model_lacks_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(EngineInfo(), **fields)
    assert (type(error), error.param) == (UnsupportedField, param)
