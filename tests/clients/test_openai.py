"""Loops of tool calls with the public `openai` client: whole, streamed, and with its own helper for streams."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from pydantic import BaseModel, Field

from evaluation.tools.calculator import calculate
from tests.clients.conftest import ANSWER, QUESTION, World
from tests.support.loops import THOUGHT


class Compute(BaseModel):
    """Compute an expression."""

    expression: str = Field(description="The expression.")


TOOLS = [openai.pydantic_function_tool(Compute, name="compute")]
TRACE = {"moa": {"trace": True}}
Asking = Callable[[openai.AsyncOpenAI, str, list[Any]], Awaitable[tuple[Any, Any]]]


async def whole(client: openai.AsyncOpenAI, model: str, messages: list[Any]) -> tuple[Any, Any]:
    """Message and `moa` object of an answer."""
    answer = await client.chat.completions.create(model=model, messages=messages, tools=TOOLS, extra_body=TRACE)
    return answer.choices[0].message, getattr(answer, "moa", None)


async def streamed(client: openai.AsyncOpenAI, model: str, messages: list[Any]) -> tuple[Any, Any]:
    """The same, put together from the chunks of a stream by hand."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "reasoning_content": "", "tool_calls": []}
    moa = None
    async for chunk in await client.chat.completions.create(
        model=model, messages=messages, tools=TOOLS, extra_body=TRACE, stream=True
    ):
        moa = getattr(chunk, "moa", moa)
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
            message["reasoning_content"] += getattr(choice.delta, "reasoning_content", "")
            for piece in choice.delta.tool_calls or []:
                if piece.index == len(message["tool_calls"]):
                    function = {"name": piece.function.name, "arguments": ""}
                    message["tool_calls"].append({"id": piece.id, "type": "function", "function": function})
                message["tool_calls"][piece.index]["function"]["arguments"] += piece.function.arguments or ""
    if not message["tool_calls"]:
        del message["tool_calls"]
    return message, moa


async def helper(client: openai.AsyncOpenAI, model: str, messages: list[Any]) -> tuple[Any, Any]:
    """The same, put together by the client."""
    async with client.chat.completions.stream(
        model=model, messages=messages, tools=TOOLS, extra_body=TRACE, stream_options={"include_usage": True}
    ) as stream:
        moa = None
        async for event in stream:
            moa = getattr(event.chunk, "moa", moa) if event.type == "chunk" else moa
        answer = await stream.get_final_completion()
    assert answer.usage is not None
    return answer.choices[0].message, moa


def as_dict(message: Any) -> dict[str, Any]:
    return message if isinstance(message, dict) else message.model_dump(exclude_none=True)


@pytest.mark.parametrize("asking", [whole, streamed, helper])
@pytest.mark.parametrize("model", ["a", "moa-lite"])
async def test_a_loop_of_two_requests(world: World, model: str, asking: Asking) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    traces = []
    async with openai.AsyncOpenAI(base_url=world.url, api_key="none", max_retries=0) as client:
        for _ in range(2):
            message, moa = await asking(client, model, messages)
            traces.append(moa)
            messages.append(message)
            for call in as_dict(message).get("tool_calls", []):
                expression = json.loads(call["function"]["arguments"])["expression"]
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": calculate(expression)})
    roles = [as_dict(message)["role"] for message in messages]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert as_dict(messages[1])["reasoning_content"] == THOUGHT
    assert as_dict(messages[-1])["content"] == ANSWER
    world.check_loop(model, reasoning=THOUGHT)
    if model == "moa-lite":
        check_traces(*traces)


def check_traces(first: Any, second: Any) -> None:
    """The first trace has the proposers and the call; the second one the final agent only, and the reason."""
    assert [[agent["role"] for agent in layer["agents"]] for layer in first["trace"]] == [
        ["proposer"] * 3,
        ["aggregator"],
    ]
    (called,) = first["trace"][-1]["agents"][0]["tool_calls"]
    assert called["function"] == {"name": "compute", "arguments": '{"expression": "3817 * 246"}'}
    assert not first["degraded"]
    (layer,) = second["trace"]
    assert [agent["role"] for agent in layer["agents"]] == ["aggregator"]
    assert not second["degraded"]
    assert any("reused" in reason for reason in second["reasons"])
