"""`client.completions` of the public `openai` client: whole, streamed, scored."""

from collections.abc import AsyncIterator

import openai
import pytest

from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest
from tests.support.api import running


def continued(request: GenerateRequest) -> str:
    return " and so on" if request.prompt is None else f" after {request.prompt.content}"


@pytest.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    models = {name: ScriptedEngine(name, continued, logprob=-0.5) for name in "abc"}
    recipes = load_recipes(["moa-lite"], {"proposers": ["a", "b", "c"], "aggregator": "a"})
    orchestrator = Orchestrator(models, recipes)
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    async with running(app) as url, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as public:
        yield public


async def test_a_whole_answer(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model="a", prompt="Once", echo=True, logprobs=1, max_tokens=4)
    [choice] = answer.choices
    assert (choice.text, choice.finish_reason) == ("Once after Once", "stop")
    assert choice.logprobs is not None
    assert choice.logprobs.tokens == ["Once", " after", " Once"]
    assert choice.logprobs.token_logprobs == [None, -0.5, -0.5]
    assert choice.logprobs.text_offset == [0, 4, 10]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1, 2)


async def test_a_stream_of_several_prompts(client: openai.AsyncOpenAI) -> None:
    texts = ["", ""]
    usage = None
    async for chunk in await client.completions.create(
        model="a", prompt=["x", "y"], stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [" after x", " after y"]
    assert usage is not None
    assert usage.total_tokens == 2 + 4


async def test_a_recipe_and_its_refusal(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model="moa-lite", prompt="Once")
    assert answer.choices[0].text == " and so on"
    with pytest.raises(openai.BadRequestError) as refused:
        await client.completions.create(model="moa-lite", prompt="Once", logprobs=1)
    assert (refused.value.param, refused.value.code) == ("logprobs", "unsupported_field")
