"""Functions in namespaces: Codex CLI sends those of MCP servers so."""

from typing import Any

import pytest

from serving.api.dialects.namespaces import names
from serving.api.dialects.responses_answers import ResponsesAnswer
from serving.api.dialects.responses_json import head_json
from serving.api.dialects.responses_requests import parse_responses
from serving.api.settings import ApiSettings
from serving.conversation import Tool, ToolCall, ToolCallDelta, ToolChoice
from serving.errors import UnsupportedField
from serving.types import Delta
from serving.usage import TokenUsage
from tests.unit.serving.api.dialects.test_chat_requests import encoded
from tests.unit.serving.api.dialects.test_responses_answers import events_of
from tests.unit.serving.api.dialects.test_responses_requests import OTHER, RESULT, SCHEMA, TOOL, USER, convert, refusal

MCP = {"type": "namespace", "name": "mcp__weather", "description": "Weather of places.", "tools": [TOOL]}
FULL_NAME = "mcp__weather__get_weather"
CALL = {"type": "function_call", "call_id": "c1", "namespace": "mcp__weather", "name": "get_weather", "arguments": "{}"}


def test_the_model_gets_the_functions_under_both_names() -> None:
    request = convert(tools=[OTHER, MCP])
    about = "Weather of places.\nWeather."
    assert request.tools == (Tool("now", None, None, None), Tool(FULL_NAME, about, SCHEMA, False))


@pytest.mark.parametrize(
    ("outer", "inner", "about"), [(None, "a", "a"), ("b", None, "b"), (None, None, None), ("", "", None)]
)
def test_descriptions_are_optional(outer: str | None, inner: str | None, about: str | None) -> None:
    namespace = {**MCP, "description": outer, "tools": [{**OTHER, "description": inner}]}
    assert [tool.description for tool in convert(tools=[namespace]).tools] == [about]


def test_equal_names_in_two_namespaces_differ() -> None:
    request = convert(tools=[MCP, {**MCP, "name": "other"}, TOOL])
    assert [tool.name for tool in request.tools] == [FULL_NAME, "other__get_weather", "get_weather"]


def test_both_names_may_have_64_characters() -> None:
    namespace = {**MCP, "name": "n" * 64, "tools": [{**OTHER, "name": "f" * 64}]}
    assert [len(tool.name) for tool in convert(tools=[namespace]).tools] == [130]


def test_a_choice_names_a_function_of_a_namespace_as_the_model_knows_it() -> None:
    chosen = {"type": "function", "name": FULL_NAME}
    assert convert(tools=[MCP], tool_choice=chosen).tool_choice == ToolChoice("named", FULL_NAME)


def test_a_call_in_the_history_has_the_name_that_the_model_knows() -> None:
    request = convert(input=[USER, CALL, RESULT], tools=[MCP])
    assert request.messages[1].tool_calls == (ToolCall("c1", FULL_NAME, "{}"),)


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([{**MCP, "tools": []}], "tools[0].tools"),
        ([{**MCP, "tools": None}], "tools[0].tools"),
        ([{**MCP, "tools": 3}], "tools[0].tools"),
        ([{**MCP, "tools": [{**TOOL, "name": 3}]}], "tools[0].tools[0].name"),
        ([{**MCP, "tools": [{**TOOL, "name": "x" * 65}]}], "tools[0].tools[0].name"),
        ([{**MCP, "tools": [{**TOOL, "name": ""}]}], "tools[0].tools[0].name"),
        ([{**MCP, "name": "a b"}], "tools[0].name"),
        ([{**MCP, "name": None}], "tools[0].name"),
        ([{**MCP, "tools": [TOOL, TOOL]}], "tools[0].tools[1].name"),
        ([TOOL, {**MCP, "tools": [TOOL, OTHER, {**TOOL, "name": "f"}]}], "tools"),
    ],
)
def test_invalid_namespaces_are_refused_by_their_path(tools: list[Any], param: str) -> None:
    assert refusal(tools=tools).param == param


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({**MCP, "tools": [{"type": "custom", "name": "f"}]}, "tools[0].tools[0].type"),
        ({**MCP, "tools": [MCP]}, "tools[0].tools[0].type"),
        ({**MCP, "tools": [{**TOOL, "defer_loading": True}]}, "tools[0].tools[0].defer_loading"),
        ({**MCP, "extra": 1}, "tools[0].extra"),
    ],
)
def test_other_tools_in_a_namespace_are_refused_by_name(tool: Any, param: str) -> None:
    error = refusal(tools=[tool])
    assert isinstance(error, UnsupportedField)
    assert error.param == param


def test_a_call_is_answered_with_both_names_apart() -> None:
    body = parse_responses(encoded({"model": "m", "input": "hi", "tools": [MCP, OTHER]}), ApiSettings())
    answer = ResponsesAnswer("resp_1", "m", head_json(body, 0), namespaces=names(body.tools))
    calls = [
        Delta(tool_calls=(ToolCallDelta(0, "c0", FULL_NAME, "{}"),)),
        Delta(tool_calls=(ToolCallDelta(1, "c1", "now", "{}"),)),
        Delta(finish_reason="tool_calls", usage=TokenUsage(1, 2)),
    ]
    response = events_of(*calls, answer=answer)[-1]["response"]
    first, second = response["output"]
    assert (first["namespace"], first["name"]) == ("mcp__weather", "get_weather")
    assert second["name"] == "now"
    assert "namespace" not in second
    assert [tool["type"] for tool in response["tools"]] == ["namespace", "function"]
    assert response["tools"][0]["tools"][0]["name"] == "get_weather"
