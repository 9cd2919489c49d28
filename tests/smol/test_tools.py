"""Tools of a model that cannot choose them by itself: structured output makes its calls valid."""

import json
from functools import partial
from typing import Any

import openai
import pytest

from tests.smol.asking import ask, together, whole

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 20},
                "unit": {"enum": ["Grad Celsius (°C)", "Grad Fahrenheit (°F)"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {name: {"type": "integer", "minimum": 0, "maximum": 99} for name in "ab"},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}
TOOLS = [WEATHER, ADD]
QUESTION = "What is the weather in Paris?"
NAMED = {"type": "function", "function": {"name": "add"}}


def check(name: str, arguments: str) -> None:
    """The call keeps the schema of its tool."""
    given = json.loads(arguments)
    if name == "get_weather":
        assert given.keys() == {"city", "unit"}
        assert isinstance(given["city"], str)
        assert len(given["city"]) <= 20
        assert given["unit"] in WEATHER["function"]["parameters"]["properties"]["unit"]["enum"]
    else:
        assert name == "add"
        assert given.keys() == {"a", "b"}
        assert all(type(number) is int and 0 <= number <= 99 for number in given.values())


def forced(choice: Any) -> dict[str, Any]:
    """Fields that force one call: a small model would write calls up to its token limit."""
    return {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False}


def whole_calls(client: openai.OpenAI, model: str, choice: Any) -> tuple[list[tuple[str, str]], str]:
    """Names and arguments of calls, and the finish reason."""
    answer = ask(client, QUESTION, model, max_tokens=150, **forced(choice))
    calls = [call.function for call in answer.choices[0].message.tool_calls]
    return [(call.name, call.arguments) for call in calls], answer.choices[0].finish_reason


def streamed_calls(client: openai.OpenAI, model: str, choice: Any) -> tuple[list[tuple[str, str]], str]:
    """The same of streamed calls; every call begins with its id and name."""
    calls: list[list[str]] = []
    reason = ""
    for chunk in ask(client, QUESTION, model, max_tokens=150, stream=True, **forced(choice)):
        for one in chunk.choices:
            reason = one.finish_reason or reason
            for piece in one.delta.tool_calls or []:
                if piece.index == len(calls):
                    assert piece.id
                    calls.append([piece.function.name, ""])
                calls[piece.index][1] += piece.function.arguments or ""
    return [(name, arguments) for name, arguments in calls], reason


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_forced_calls_are_valid(client: openai.OpenAI, choice: Any) -> None:
    models = ("smol", "self-moa")
    calls = [partial(call, client, model, choice) for model in models for call in (whole_calls, streamed_calls)]
    answers = together(calls)
    for (found, reason), stream in zip(answers[::2], answers[1::2], strict=True):
        assert stream == (found, reason)
        assert reason == "tool_calls"
        assert found
        for name, arguments in found:
            check(name, arguments)
        assert choice == "required" or {name for name, _ in found} == {"add"}


def test_the_model_reads_its_tools_and_their_results(client: openai.OpenAI) -> None:
    weather = {"type": "function", "function": {"name": "get_weather"}}
    answer = ask(client, QUESTION, max_tokens=150, **forced(weather))
    [call] = answer.choices[0].message.tool_calls
    assert "Paris" in call.function.arguments
    turns = [
        {"role": "user", "content": QUESTION},
        answer.choices[0].message.model_dump(include={"role", "content", "tool_calls"}),
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 23 °C."},
    ]
    assert "23" in whole(client, turns, tools=TOOLS, tool_choice="none")


def test_choosing_by_itself_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(
        openai.BadRequestError, match="'smol' cannot choose tools by itself; set tool_choice"
    ) as refused:
        ask(client, QUESTION, tools=TOOLS)
    assert refused.value.param == "tool_choice"
