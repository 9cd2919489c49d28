"""Tools and thinking of chat requests: what is accepted, refused, and given to the engine."""

from collections.abc import Callable
from typing import Any

import pytest

from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.grammars.limits import SchemaLimits
from serving.types import GenerateRequest
from tests.support.tools import WEATHER
from tests.unit.serving.api.dialects.test_chat_requests import encoded

ABLE = EngineInfo(tools=True, thinking=True)
USER = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}


def convert(info: EngineInfo = ABLE, settings: ApiSettings | None = None, **fields: Any) -> GenerateRequest:
    settings = settings or ApiSettings()
    body = parse_chat(encoded({"model": "m", "messages": [USER], **fields}), settings)
    return to_request(body, ModelCard("m", "model"), info, settings, "id-1")


def refusal(info: EngineInfo = ABLE, settings: ApiSettings | None = None, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        convert(info, settings, **fields)
    assert caught.value.status == 400
    return caught.value


def function(**fields: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", **fields}}]


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def some(*names: str, mode: str = "auto") -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


def test_tools_that_are_not_allowed_are_left_out() -> None:
    offered = [tool for name in "fgh" for tool in function(name=name)]
    request = convert(tools=offered, tool_choice=some("h", "f", mode="required"))
    assert [tool.name for tool in request.tools] == ["f", "h"]
    assert request.tool_choice == ToolChoice("required")


def test_tools_and_their_choice_reach_the_engine() -> None:
    schema = WEATHER["function"]["parameters"]
    more = {"type": "function", "function": {"name": "now", "strict": True, "parameters": None, "description": None}}
    request = convert(tools=[WEATHER, more], tool_choice=named("now"), parallel_tool_calls=False)
    assert request.tools == (Tool("get_weather", "Weather of a city.", schema), Tool("now", strict=True))
    assert request.tool_choice == ToolChoice("named", "now")
    assert not request.parallel_tool_calls
    for mode in ("none", "auto", "required"):
        assert convert(tools=[WEATHER], tool_choice=mode).tool_choice == ToolChoice(mode)


@pytest.mark.parametrize("fields", [{}, {"strict": None}, {"strict": False}, {"strict": True}])
def test_strict_reaches_the_engine_as_it_was_given(fields: dict[str, Any]) -> None:
    assert [tool.strict for tool in convert(tools=function(**fields)).tools] == [fields.get("strict")]


def test_a_tool_loop_reaches_the_engine() -> None:
    second = {**CALL, "id": "c2", "index": 1}
    request = convert(
        messages=[
            USER,
            {**CALLED, "reasoning_content": "Hm.", "reasoning": "Other."} | {"tool_calls": [CALL, second]},
            {**RESULT, "tool_call_id": "c2"},
            {**RESULT, "name": "get_weather"},
            {"role": "assistant", "content": "Sunny.", "reasoning": "So."},
            {"role": "assistant", "reasoning_content": "", "tool_calls": []},
        ]
    )
    calls = (ToolCall("c1", "get_weather", "{}"), ToolCall("c2", "get_weather", "{}"))
    assert request.messages[1:] == (
        Message("assistant", "", reasoning="Hm.", tool_calls=calls),
        Message("tool", "sunny", tool_call_id="c2"),
        Message("tool", "sunny", "get_weather", tool_call_id="c1"),
        Message("assistant", "Sunny.", reasoning="So."),
        Message("assistant", ""),
    )


NOTHING: list[dict[str, Any]] = [
    {"tools": []},
    {"tools": [], "tool_choice": "none"},
    {"parallel_tool_calls": False},
    {"parallel_tool_calls": True},
    {"reasoning_effort": "none"},
    {"thinking_token_budget": 0},
    {"chat_template_kwargs": {}},
    {"messages": [{**USER, "tool_calls": [], "reasoning": "", "tool_call_id": ""}]},
]


@pytest.mark.parametrize("fields", NOTHING)
def test_a_model_without_tools_and_thinking_accepts_what_asks_for_nothing(fields: dict[str, Any]) -> None:
    assert convert(EngineInfo(), **fields) == convert(EngineInfo())


@pytest.mark.parametrize(
    ("fields", "param", "ability"),
    [
        ({"tools": [WEATHER]}, "tools", "tools"),
        ({"tools": [WEATHER], "tool_choice": "none"}, "tools", "tools"),
        ({"messages": [USER, CALLED, RESULT]}, "messages[1].tool_calls", "tools"),
        ({"messages": [USER, RESULT]}, "messages[1].role", "tools"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort", "thinking"),
        ({"thinking_token_budget": 5}, "thinking_token_budget", "thinking"),
    ],
)
def test_a_model_without_an_ability_refuses_it_by_name(fields: dict[str, Any], param: str, ability: str) -> None:
    error = refusal(EngineInfo(), **fields)
    assert isinstance(error, UnsupportedField)
    assert str(error) == f"Remove '{param}': 'm' does not support {ability}."


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"tools": function(name="a b")}, "tools[0].function.name", "Set 'tools[0].function.name' to 1 to 64 letters"),
        ({"tools": function(name="")}, "tools[0].function.name", 'not ""'),
        ({"tools": function(name="x" * 65)}, "tools[0].function.name", "1 to 64"),
        ({"tools": function(name="f\n")}, "tools[0].function.name", "1 to 64"),
        ({"tools": function() * 2}, "tools[1].function.name", "another tool named 'f'"),
        ({"tools": function(parameters={"type": "string"})}, "tools[0].function.parameters.type", 'not "string"'),
        ({"tools": function(parameters=[])}, "tools[0].function.parameters", "to an object, not a list"),
        (
            {"tools": function(parameters={"properties": []})},
            "tools[0].function.parameters.properties",
            "to an object, not a list",
        ),
        (
            {"tools": function(parameters={"required": "x"})},
            "tools[0].function.parameters.required",
            "to a list of strings",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "it is required"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "tools of the type 'custom' are not supported"),
        ({"tools": function(x=1)}, "tools[0].function.x", "there is no such field"),
        ({"tools": function() * 3}, "tools", "it has 3 entries, at most 2 are accepted"),
        ({"tool_choice": "auto"}, "tool_choice", "Set 'tools' to use 'tool_choice'"),
        ({"tool_choice": "required", "tools": []}, "tool_choice", "Set 'tools' to use 'tool_choice'"),
        ({"tool_choice": named("f")}, "tool_choice", "Set 'tools' to use 'tool_choice'"),
        ({"tools": function(), "tool_choice": named("g")}, "tool_choice.function.name", 'one of the tools, not "g"'),
        (
            {"tools": function(), "tool_choice": "maybe"},
            "tool_choice",
            "'required', a function or allowed tools, not \"maybe\"",
        ),
        ({"tools": function(), "tool_choice": 3}, "tool_choice", "'required', a function or allowed tools, not 3"),
        ({"tools": function(), "tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools", "requires it"),
        (
            {"tools": function(), "tool_choice": some("f", "g")},
            "tool_choice.allowed_tools.tools[1].function.name",
            'not "g"',
        ),
        ({"tools": function(), "tool_choice": {**some("f"), "type": "auto"}}, "tool_choice.allowed_tools", "Remove"),
        ({"tools": function(), "tool_choice": "function"}, "tool_choice.function", "requires it"),
        ({"tools": function(), "tool_choice": {**named("f"), "type": "auto"}}, "tool_choice.function", "to 'function'"),
        ({"tools": function(), "parallel_tool_calls": 1}, "parallel_tool_calls", "true or false"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "'xhigh', not \"huge\""),
        ({"thinking_token_budget": -1}, "thinking_token_budget", "at least 0"),
        ({"include_reasoning": "no"}, "include_reasoning", "true or false"),
        ({"chat_template_kwargs": []}, "chat_template_kwargs", "to an object"),
        ({"chat_template_kwargs": {"chat_template": "{{"}}, "chat_template_kwargs.chat_template", "the server sets"),
        ({"messages": [USER, RESULT]}, "messages[1].tool_call_id", 'not "c1"'),
        ({"messages": [CALLED, {**RESULT, "tool_call_id": "c2"}]}, "messages[1].tool_call_id", 'not "c2"'),
        (
            {"messages": [CALLED, RESULT, {"role": "assistant", "content": "a"}, RESULT]},
            "messages[3].tool_call_id",
            'not "c1"',
        ),
        ({"messages": [CALLED, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id", "it is required"),
        ({"messages": [CALLED, {"role": "tool", "tool_call_id": "c1"}]}, "messages[1].content", "it is required"),
        ({"messages": [{"role": "user", "tool_calls": [CALL]}]}, "messages[0].tool_calls", "the role 'assistant'"),
        ({"messages": [{**USER, "reasoning": "x"}]}, "messages[0].reasoning", "the role 'assistant'"),
        (
            {"messages": [{**CALLED, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}]},
            "messages[0].tool_calls[0].function.arguments",
            "to a string, not an object",
        ),
        (
            {"messages": [{**CALLED, "tool_calls": [{**CALL, "type": "custom"}]}]},
            "messages[0].tool_calls[0].type",
            "tool calls of the type 'custom' are not supported",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_path(fields: dict[str, Any], param: str, says: str) -> None:
    error = refusal(settings=ApiSettings(max_tools=2), **fields)
    assert error.param == param
    assert says in str(error)
    assert f"'{param}'" in str(error)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, Thinking()),
        ({"reasoning_effort": "none"}, Thinking(False, "none")),
        ({"reasoning_effort": "xhigh"}, Thinking(True, "xhigh")),
        ({"thinking_token_budget": 64}, Thinking(budget_tokens=64)),
        ({"reasoning_effort": "low", "thinking_token_budget": 0}, Thinking(True, "low", 0)),
    ],
)
def test_thinking_reaches_the_engine(fields: dict[str, Any], wanted: Thinking) -> None:
    assert convert(**fields).thinking == wanted


@pytest.mark.parametrize(
    ("path", "wrap"),
    [
        ("tools[0].function.parameters", lambda deep: {"tools": function(parameters=deep)}),
        (
            "response_format.json_schema.schema",
            lambda deep: {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": deep}}},
        ),
    ],
)
def test_a_schema_of_too_many_levels_is_refused(path: str, wrap: Callable[[Any], dict[str, Any]]) -> None:
    deep: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "object"}}
    for _ in range(31):
        deep = {"type": "object", "properties": {"a": deep}}
    convert(**wrap(deep))
    for deeper in (1, 20):
        for _ in range(deeper):
            deep = {"type": "object", "properties": {"a": deep}}
        error = refusal(**wrap(deep))
        assert error.param == path
        assert str(error).startswith(f"Flatten '{path}': it has more than ")


def test_template_arguments_of_too_many_levels_are_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(99):
        deep = {"a": deep}
    convert(chat_template_kwargs=deep)
    error = refusal(chat_template_kwargs={"a": [deep]})
    assert str(error) == "Flatten 'chat_template_kwargs': it has more than 100 levels."


def test_template_arguments_that_are_too_large_are_refused() -> None:
    """They go with each call of a model, and a template may loop over them."""
    settings = ApiSettings(schemas=SchemaLimits(max_bytes=64))
    convert(EngineInfo(), settings, chat_template_kwargs={"a": [0.5] * 14})
    error = refusal(EngineInfo(), settings, chat_template_kwargs={"a": [0.5] * 15})
    assert error.param == "chat_template_kwargs"
    assert str(error) == "Reduce 'chat_template_kwargs': it has 67 bytes of JSON, at most 64 are accepted."
    assert isinstance(refusal(chat_template_kwargs={"a": [1] * 10**5}), InvalidRequest)


def test_template_arguments_reach_the_engine() -> None:
    arguments = {"enable_thinking": False, "date": "today"}
    assert convert(EngineInfo(), chat_template_kwargs=arguments).template_args == arguments
