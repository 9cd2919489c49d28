"""The same loop by an agent of pydantic-ai, which sends the reasoning back by itself."""

import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from evaluation.tools.calculator import calculate
from tests.clients.conftest import ANSWER, QUESTION, World
from tests.support.loops import THOUGHT


def compute(expression: str) -> str:
    """Compute an expression."""
    return calculate(expression)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["a", "moa-lite"])
async def test_an_agent_calls_its_tool_and_answers(world: World, model: str, stream: bool) -> None:
    async with openai.AsyncOpenAI(base_url=world.url, api_key="none", max_retries=0) as client:
        agent = Agent(OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client)), tools=[compute])
        if stream:
            async with agent.run_stream(QUESTION) as running:
                output = await running.get_output()
                messages = running.all_messages()
        else:
            result = await agent.run(QUESTION)
            output, messages = result.output, result.all_messages()
    assert output == ANSWER
    thoughts = [part.content for message in messages for part in message.parts if isinstance(part, ThinkingPart)]
    assert thoughts[0] == THOUGHT
    world.check_loop(model, reasoning=THOUGHT)
