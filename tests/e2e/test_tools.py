"""Loops of tool calls and thinking on the real trio, with the public client: whole and streamed."""

import json
from typing import Any

import openai
import pytest

from evaluation.datasets.loading import load
from evaluation.items import Item
from evaluation.tools.toolbox import Call

MODELS = ("tiny-qwen", "moa-lite")
ITEMS = [item for item in load("tools").items if item.skill != "none"][::15]
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>")


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
        assert done.fault is None
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": done.result})
    answered = asked(client, model, stream, messages=messages, tools=tools)
    return (called[0], answered[0]), (called[1], answered[1]), (called[2], answered[2])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
async def test_loops_of_two_requests_are_answered_right(client: openai.OpenAI, model: str, stream: bool) -> None:
    right = 0
    for item in ITEMS:
        (called, answered), usages, traces = await loop(client, model, item, stream)
        assert not called.get("content"), item.id
        assert called["tool_calls"][0]["function"]["name"] in item.tools.first_call, item.id
        assert not answered.get("tool_calls"), item.id
        right += answered["content"] == item.answer
        check_team(model, *traces)
        check_cache(*usages, *traces)
    assert right >= 0.7 * len(ITEMS)


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


def check_cache(first: Any, second: Any, *traces: Any) -> None:
    """The second prompt finds the first one in the cache, but for blocks of 32 tokens that are not full."""
    ends = [trace["trace"][-1]["agents"][-1]["usage"] for trace in traces]
    assert ends[1]["prompt_tokens_details"]["cached_tokens"] >= ends[0]["prompt_tokens"] // 32 * 32
    assert second.total_tokens >= ends[1]["total_tokens"]


@pytest.mark.parametrize("model", MODELS)
async def test_a_required_call_is_valid(client: openai.OpenAI, model: str) -> None:
    for item in ITEMS[:3]:
        (called, _), _, _ = await loop(client, model, item, stream=False, tool_choice="required")
        for call in called["tool_calls"]:
            assert set(json.loads(call["function"]["arguments"]))
            assert call["function"]["name"] in {spec["function"]["name"] for spec in item.tools.specs}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_thinking_is_apart_from_the_answer(client: openai.OpenAI, model: str, stream: bool) -> None:
    for item in load("thinking", limit=3).items:
        question = [{"role": "user", "content": item.turns[0]}]
        extra = {"moa": {"trace": True}, "reasoning_effort": "low"}
        message, usage, moa = asked(client, model, stream, messages=question, max_tokens=256, extra_body=extra)
        assert message["reasoning_content"], item.id
        assert usage.completion_tokens_details.reasoning_tokens > 0
        assert not any(tag in message["content"] for tag in TAGS)
        *proposers, final = [agent for layer in moa["trace"] for agent in layer["agents"]]
        assert final["reasoning"] == message["reasoning_content"]
        assert not any(tag in agent["text"] for agent in proposers for tag in TAGS)
        quiet, usage, _ = asked(client, model, stream, messages=question, extra_body={"reasoning_effort": "none"})
        assert "reasoning_content" not in quiet
        assert usage.completion_tokens_details.reasoning_tokens == 0
