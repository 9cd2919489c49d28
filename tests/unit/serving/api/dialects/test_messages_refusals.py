"""Messages requests: hints that are accepted, and what is refused by its name."""

from typing import Any

import pytest

from serving.api.schemas.messages import KEEPS_ALL, NEUTRAL
from serving.engine import EngineInfo
from serving.errors import UnsupportedField
from tests.unit.serving.api.dialects.test_messages_requests import (
    CALL,
    CALLED,
    EPHEMERAL,
    RESULT,
    TOOL,
    USER,
    convert,
    refusal,
    text,
    user,
)

HINTS: list[dict[str, Any]] = [
    {"service_tier": "standard_only"},
    {"cache_control": EPHEMERAL},
    {"context_management": KEEPS_ALL},
    {"context_management": {"edits": []}},
    {"mcp_servers": []},
    {"container": None, "system": None, "tools": None, "thinking": None, "metadata": {"user_id": None}},
    {"speed": "fast"},
    {"diagnostics": {"previous_message_id": None}},
    {"thinking": {"type": "disabled", "display": None}, "model": "m"},
    {"thinking": {"type": "adaptive", "budget_tokens": 0}},
    {"output_config": {"task_budget": {"type": "tokens", "total": 20_000}}},
]


@pytest.mark.parametrize("fields", HINTS)
def test_what_asks_for_nothing_is_accepted(fields: dict[str, Any]) -> None:
    assert convert(EngineInfo(), **fields) == convert(EngineInfo())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        *(({name: "x"}, name) for name in NEUTRAL),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL, {"type": "bash_20250124", "name": "bash"}]}, "tools[1].type"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"messages": [user({"type": "document", "source": {}})]}, "messages[0].content[0].type"),
        ({"messages": [user({"type": "image", "source": {"type": "file"}})]}, "messages[0].content[0].source.type"),
        ({"messages": [user({"type": "document"})]}, "messages[0].content[0].type"),
        ({"messages": [user(CALL)]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "assistant", "content": [RESULT]}]}, "messages[0].content[0].type"),
        ({"messages": [user({**RESULT, "content": [{"type": "document"}]})]}, "messages[0].content[0].content[0].type"),
        ({"messages": [{**USER, "name": "bob"}]}, "messages[0].name"),
        ({"thinking": {"type": "adaptive", "deep": True}}, "thinking.deep"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"max_completion_tokens": 3}, "max_completion_tokens"),
        ({"seed": 3}, "seed"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert (type(error), error.param) == (UnsupportedField, param)


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"max_tokens": None}, "max_tokens", "Set 'max_tokens': it is required."),
        ({"max_tokens": 101}, "max_tokens", "Set 'max_tokens' to at most 100, not 101."),
        ({"messages": []}, "messages", "Give 'messages' at least 1 entry."),
        ({"messages": [3]}, "messages[0]", "Set 'messages[0]' to an object, not a number."),
        ({"messages": [USER] * 9}, "messages", "Shorten 'messages': it has 9 entries, at most 8 are accepted."),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "Set 'messages[0].content': it is required."),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0].role",
            "Set 'messages[0].role' to 'user', 'assistant' or 'system', not \"tool\".",
        ),
        ({"messages": [user({**RESULT, "is_error": "no"})]}, "messages[0].content[0].is_error", None),
        (
            {"messages": [USER, CALLED, user(text("a"), {**RESULT, "tool_use_id": "c9"})]},
            "messages[2].content[1].tool_use_id",
            "Set 'messages[2].content[1].tool_use_id' to the id of a tool call of the answer before it, not \"c9\".",
        ),
        (
            {"messages": [USER, {**CALLED, "content": [{**CALL, "input": "{}"}]}, USER]},
            "messages[1].content[0].input",
            None,
        ),
        ({"temperature": 1.5}, "temperature", "Set 'temperature' to at most 1, not 1.5."),
        ({"system": [{"text": "a"}]}, "system[0].type", "Set 'system[0].type': it is required."),
        ({"system": 3}, "system", "Set 'system' to a list, not a number."),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema", "Set 'tools[0].input_schema': it is required."),
        ({"tools": [{**TOOL, "input_schema": {"type": "array"}}]}, "tools[0].input_schema.type", None),
        ({"tools": [TOOL, TOOL]}, "tools[1].name", None),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "Set 'tools' to use 'tool_choice', or remove 'tool_choice'."),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}},
            "tool_choice.name",
            "Set 'tool_choice.name' to the name of one of the tools, not \"g\".",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "auto", "name": "g"}}, "tool_choice.name", None),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice", "Set 'tool_choice' to an object, not a string."),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", None),
        ({"thinking": {"type": "adaptive", "budget_tokens": 5}}, "thinking.budget_tokens", None),
        ({"thinking": {"type": "between_tools"}}, "thinking.type", None),
        ({"stop_sequences": "a"}, "stop_sequences", "Set 'stop_sequences' to a list, not a string."),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, sentence: str | None) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert sentence in (None, str(error))
    assert f"'{param}'" in str(error) or sentence


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"messages": [USER, CALLED, user(RESULT)]}, "tools"),
        ({"moa": {"recipe": "x"}}, "moa.recipe"),
    ],
)
def test_what_the_model_lacks_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal(EngineInfo(), **fields)
    assert (type(error), error.param) == (UnsupportedField, param)
