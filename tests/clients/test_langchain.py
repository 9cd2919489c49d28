"""The same loop by langchain-openai, which leaves the reasoning out of the history."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from evaluation.tools.calculator import calculate
from tests.clients.conftest import ANSWER, QUESTION, World


@tool
def compute(expression: str) -> str:
    """Compute an expression."""
    return calculate(expression)


async def answered(model: Any, messages: list[BaseMessage], stream: bool) -> AIMessage:
    if not stream:
        return await model.ainvoke(messages)
    whole: AIMessageChunk | None = None
    async for chunk in model.astream(messages):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    return whole


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["a", "moa-lite"])
async def test_a_chat_model_calls_its_tool_and_answers(world: World, model: str, stream: bool) -> None:
    chat = ChatOpenAI(model=model, base_url=world.url, api_key="none", max_retries=0, stream_usage=True)
    messages: list[BaseMessage] = [HumanMessage(QUESTION)]
    for _ in range(2):
        answer = await answered(chat.bind_tools([compute]), messages, stream)
        assert answer.usage_metadata is not None
        messages.append(answer)
        messages += [await compute.ainvoke(call) for call in answer.tool_calls]
    await chat.root_async_client.close()
    assert [message.type.removesuffix("Chunk").lower() for message in messages] == [
        "human",
        "aimessage" if stream else "ai",
        "tool",
        "aimessage" if stream else "ai",
    ]
    assert messages[-1].content == ANSWER
    world.check_loop(model, reasoning=None)
