"""Prompts that are rebuilt from a trace are those that the agents read."""

from typing import Any

import httpx
import pytest

from serving.engines.scripted import ScriptedEngine
from serving.replay.rebuilding import Mismatch
from serving.replay.traced import TracedAnswer, traced_answer
from serving.types import GenerateRequest
from tests.support.training import scripted_trio, text_of, transport_of
from training.formats import asked
from training.replay import rebuilt
from training.team import load_team
from training.trajectory import Turn

QUESTION = "What is 2 + 2?"
SAMPLING = {"temperature": 1.0, "seed": 5}


def shown(request: GenerateRequest) -> str:
    return "\n".join(message.content for message in request.messages)


def solver_and_critic(request: GenerateRequest) -> str:
    text = shown(request)
    if "You check answers" in text:
        return "Add the numbers."
    return "It is 4." if "A critic says" in text else "It is 5."


def planning(request: GenerateRequest) -> str:
    text = shown(request)
    if "Split the task" in text:
        first, second = '{"task": "first"}', '{"task": "second"}'
        return f'[{first}, {second}, {{"task": "third", "after": [1]}}, {{"task": "last", "after": [2]}}]'
    if "do only this part: first" in text:
        return "slow " * 40
    return "done" if "do only this part" in text else "4"


async def answered(engines: dict[str, ScriptedEngine], recipe: str, name: str = "") -> TracedAnswer:
    messages = [{"role": one.role, "content": one.content} for one in asked(QUESTION, name)]
    body: dict[str, Any] = {"model": recipe, "messages": messages, "moa": {"trace": True}, **SAMPLING}
    async with httpx.AsyncClient(transport=transport_of(engines), base_url="http://s") as client:
        response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return traced_answer(response.json())


async def rebuilt_turns(engines: dict[str, ScriptedEngine], recipe: str, name: str = "") -> tuple[Turn, ...]:
    answer = await answered(engines, recipe, name)
    texts = {model: text_of(model) for model in engines}
    return await rebuilt(load_team("tiny", recipe), texts, asked(QUESTION, name), SAMPLING, answer)


def as_read(engines: dict[str, ScriptedEngine]) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    return {
        (name, tuple((one.role, one.content) for one in request.messages))
        for name, engine in engines.items()
        for request in engine.requests
    }


@pytest.mark.parametrize("recipe", ["debate", "plan", "moa-lite", "moa", "rank", "self-moa", "self-moa-seq", "vote"])
@pytest.mark.parametrize("name", ["", "keys"])
async def test_prompts_are_those_that_the_agents_read(recipe: str, name: str) -> None:
    script = planning if recipe == "plan" else solver_and_critic
    engines = scripted_trio({"tiny-qwen": script, "tiny-llama": lambda request: f"B {len(shown(request))}"})
    for engine in engines.values():
        engine.itl_s = 0.0005
    turns = await rebuilt_turns(engines, recipe, name)
    assert {(turn.model, tuple((one.role, one.content) for one in turn.prompt)) for turn in turns} == as_read(engines)


async def test_debate_has_the_turns_of_solver_and_critic() -> None:
    turns = await rebuilt_turns(scripted_trio({"tiny-qwen": solver_and_critic}), "debate")
    assert [(turn.role, turn.text) for turn in turns] == [
        ("solver", "It is 5."),
        ("critic", "Add the numbers."),
        ("solver", "It is 4."),
    ]
    assert all(turn.template_args == {"enable_thinking": False} for turn in turns if turn.role == "critic")
    for turn in turns:
        assert turn.prompt_tokens == len(text_of("tiny-qwen").prompt_ids(turn.prompt, turn.template_args))
    assert all(turn.trainable for turn in turns)


async def test_a_profile_with_another_prompt_is_noticed() -> None:
    answer = await answered(scripted_trio({"tiny-qwen": solver_and_critic}), "debate")
    longer = asked(f"{QUESTION} Please.", "")
    with pytest.raises(Mismatch, match=r"the prompt of 'tiny-qwen' \(solver\) has \d+ tokens with this"):
        await rebuilt(load_team("tiny", "debate"), {"tiny-qwen": text_of("tiny-qwen")}, longer, SAMPLING, answer)


async def test_another_recipe_is_noticed() -> None:
    answer = await answered(scripted_trio({"tiny-qwen": solver_and_critic}), "debate")
    with pytest.raises(Mismatch, match="the recipe of the profile"):
        await rebuilt(load_team("tiny", "moa-lite"), {}, asked(QUESTION, ""), SAMPLING, answer)


async def test_an_agent_that_failed_cannot_be_rebuilt() -> None:
    engines = scripted_trio({})
    engines["tiny-llama"].cut_after = 0
    answer = await answered(engines, "moa-lite")
    with pytest.raises(Mismatch, match=r"'tiny-llama' \(proposer\) ended as 'failed'"):
        await rebuilt(load_team("tiny", "moa-lite"), {}, asked(QUESTION, ""), SAMPLING, answer)
