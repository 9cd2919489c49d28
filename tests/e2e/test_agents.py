"""Agents of pydantic-ai and langchain-openai, unmodified, whose tools the real trio calls."""

from typing import Any

import openai
import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from evaluation.tools.calculator import calculate
from tests.support.server import Server

MODELS = ("tiny-qwen", "moa-lite")
PRODUCTS = {f"What is {a} * {b}?": a * b for a, b in ((38, 24), (517, 63), (92, 418), (7304, 25), (641, 277), (85, 96))}
NEEDED = (
    4  # calls, and right answers: a tiny model takes a product for one it knows, or miscopies a digit, now and then
)


def compute(expression: str) -> str:
    """Calculates an arithmetic expression."""
    return calculate(expression)


@pytest.mark.parametrize("model", MODELS)
async def test_an_agent_of_pydantic_ai_calls_its_tool(server: Server, model: str) -> None:
    answers, calls = {}, 0
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        chat = OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))
        agent = Agent(chat, tools=[compute], model_settings=ModelSettings(temperature=0, max_tokens=128))
        for question in PRODUCTS:
            result = await agent.run(question)
            answers[question] = result.output
            calls += any(isinstance(part, ToolCallPart) for each in result.all_messages() for part in each.parts)
    assert calls >= NEEDED
    assert sum(answers[question] == str(product) for question, product in PRODUCTS.items()) >= NEEDED, answers


async def test_a_chat_model_of_langchain_calls_its_tool(server: Server) -> None:
    offered = tool(compute)
    chat: Any
    for model in MODELS:  # instances share one HTTP client
        chat = ChatOpenAI(model=model, base_url=f"{server.url}/v1", api_key="none", temperature=0, max_tokens=128)
        answers, calls = {}, 0
        for question in PRODUCTS:
            messages: list[BaseMessage] = [HumanMessage(question)]
            called = await chat.bind_tools([offered]).ainvoke(messages)
            calls += [call["name"] for call in called.tool_calls] == ["compute"]
            messages += [called, *[await offered.ainvoke(call) for call in called.tool_calls]]
            answers[question] = (await chat.bind_tools([offered]).ainvoke(messages)).content
        assert calls >= NEEDED
        assert sum(answers[question] == str(product) for question, product in PRODUCTS.items()) >= NEEDED, answers
    await chat.root_async_client.close()
