"""pydantic-ai: an `Agent`."""

from typing import Any, Literal

from common import MISSING, MODEL, QUESTION, compute, failure, loops, main
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Answer(BaseModel):
    parity: Literal["even", "odd"]
    certain: bool


def agent_of(url: str, model: str = MODEL, **fields: Any) -> Any:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    settings: Any = {"temperature": 0, "max_tokens": 128}
    return Agent(OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client), settings=settings), **fields)


def usage_of(result: Any) -> Any:
    return [result.usage.input_tokens, result.usage.output_tokens]


async def chat(url: str) -> Any:
    result = await agent_of(url).run(QUESTION)
    return {"text": result.output, "usage": usage_of(result)}


async def stream(url: str) -> Any:
    async with agent_of(url).run_stream(QUESTION) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        return {"pieces": pieces, "usage": usage_of(result)}


def tools(url: str) -> Any:
    async def loop(question: str) -> tuple[int, str]:
        result = await agent_of(url, tools=[compute]).run(question)
        parts = [part for message in result.all_messages() for part in message.parts]
        return sum(isinstance(part, ToolCallPart) for part in parts), result.output

    return loops(loop)


async def structured(url: str) -> Any:
    return (await agent_of(url, output_type=NativeOutput(Answer)).run(QUESTION)).output.model_dump()


def not_found(url: str) -> Any:
    return failure(lambda: agent_of(url, MISSING).run(QUESTION))


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, tools, structured, not_found)})
