"""Loops of tool calls on the real trio, with the public client: whole and streamed."""

import json
from typing import Any

import openai
import pytest

from evaluation.datasets.loading import load
from evaluation.items import Item
from evaluation.tools.toolbox import Call

MODELS = ("tiny-qwen", "moa-lite")
ITEMS = [item for item in load("tools").items if item.skill != "none"][::15]


def asked(client: openai.OpenAI, model: str, stream: bool, **fields: Any) -> tuple[dict[str, Any], Any, Any]:
    """Message as it is sent back, usage and `moa` object of an answer."""
    fields = {"temperature": 0, "max_tokens": 128, "extra_body": {"moa": {"trace": True}}, **fields}
    if not stream:
        answer = client.chat.completions.create(model=model, **fields)
        return answer.choices[0].message.model_dump(exclude_none=True), answer.usage, getattr(answer, "moa", None)
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    usage = moa = None
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(model=model, stream=True, stream_options=options, **fields):
        usage, moa = chunk.usage or usage, getattr(chunk, "moa", moa)
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
            if reasoning := getattr(choice.delta, "reasoning_content", None):
                message["reasoning_content"] = message.get("reasoning_content", "") + reasoning
            for piece in choice.delta.tool_calls or []:
                calls = message.setdefault("tool_calls", [])
                if piece.index == len(calls):
                    calls.append({"id": piece.id, "type": "function", "function": {"name": "", "arguments": ""}})
                calls[piece.index]["function"]["name"] += piece.function.name or ""
                calls[piece.index]["function"]["arguments"] += piece.function.arguments or ""
    return message, usage, moa


async def loop(client: openai.OpenAI, model: str, item: Item, stream: bool, **fields: Any) -> tuple[Any, Any, Any]:
    """Both messages, usages and traces of a loop of two requests; `fields` are of the first one."""
    assert item.tools is not None
    messages: list[Any] = [{"role": "user", "content": item.turns[0]}]
    tools = list(item.tools.specs)
    called = asked(client, model, stream, messages=messages, tools=tools, **fields)
    messages.append(called[0])
    for call in called[0]["tool_calls"]:
        done = await item.tools.run(Call(call["id"], **call["function"]))
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": done.result})
    answered = asked(client, model, stream, messages=messages, tools=tools, tool_choice="none")
    return (called[0], answered[0]), (called[1], answered[1]), (called[2], answered[2])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
async def test_loops_of_two_requests_end_with_an_answer(client: openai.OpenAI, model: str, stream: bool) -> None:
    """The call is structured output: the trio was not trained to call tools by itself."""
    for item in ITEMS:
        (called, answered), _, traces = await loop(client, model, item, stream, tool_choice="required")
        assert not called.get("content"), item.id
        assert {call["function"]["name"] for call in called["tool_calls"]} <= names(item)
        for call in called["tool_calls"]:
            assert json.loads(call["function"]["arguments"]).keys() <= parameters(item, call["function"]["name"])
        assert answered["content"].strip(), item.id
        assert not answered.get("tool_calls"), item.id
        check_team(model, *traces)


def names(item: Item) -> set[str]:
    return {spec["function"]["name"] for spec in item.tools.specs}


def parameters(item: Item, name: str) -> set[str]:
    (found,) = [spec["function"]["parameters"] for spec in item.tools.specs if spec["function"]["name"] == name]
    return set(found["properties"])


def check_team(model: str, first: Any, second: Any) -> None:
    """A recipe asks its proposers in the first request only, without tools."""
    if model != "moa-lite":
        return
    proposers, (final,) = (layer["agents"] for layer in first["trace"])
    assert [agent["outcome"] for agent in proposers] == ["ok"] * 3
    assert not any("tool_calls" in agent for agent in proposers)
    assert final["tool_calls"]
    assert [[agent["role"] for agent in layer["agents"]] for layer in second["trace"]] == [["aggregator"]]
    assert not first["degraded"]
    assert not second["degraded"]


@pytest.mark.parametrize("model", MODELS)
async def test_a_named_tool_is_called(client: openai.OpenAI, model: str) -> None:
    for item in ITEMS[:3]:
        for name in sorted(names(item)):
            choice = {"type": "function", "function": {"name": name}}
            (called, _), _, _ = await loop(client, model, item, stream=False, tool_choice=choice)
            assert {call["function"]["name"] for call in called["tool_calls"]} == {name}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_without_a_parser_refuses_to_choose_by_itself(client: openai.OpenAI, model: str) -> None:
    question = [{"role": "user", "content": ITEMS[0].turns[0]}]
    with pytest.raises(openai.BadRequestError, match="tool_choice"):
        asked(client, model, stream=False, messages=question, tools=list(ITEMS[0].tools.specs))
