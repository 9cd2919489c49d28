"""Images in requests to recipes: who sees them, what the report says, and what may be shared."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from serving.conversation import Message, Tool, ToolCall
from serving.engine import EngineInfo, complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.modalities import modalities_of
from serving.runtime.advice import advice_key, advised_turn
from serving.types import GenerateRequest, MoaOptions, Sampling
from tests.support.images import placed
from tests.support.recipes import TEAM, reasons, run

ASKED = "What is [image]?"
LAYERED = {"id": "team", "layers": [["a", "b"]], "aggregator": "c", "prefill": "off"}


def asking(*colors: str, text: str = ASKED, **fields: Any) -> GenerateRequest:
    return GenerateRequest("r1", (Message("user", text, images=placed(text, *colors)),), **fields)


@pytest.fixture
def team() -> dict[str, ScriptedEngine]:
    """`a` sees, the others do not."""
    return {
        name: ScriptedEngine(name, f"{name} says it", modalities=("text", "image") if name == "a" else ("text",))
        for name in "abc"
    }


def seen(engine: ScriptedEngine, call: int = -1) -> list[str]:
    return [one.digest for message in engine.requests[call].messages for one in message.images]


async def test_images_reach_the_models_that_see(team: dict[str, ScriptedEngine]) -> None:
    request = asking("red", moa=MoaOptions(trace=True))
    done = await run(team, request, LAYERED)
    assert seen(team["a"]) == [request.messages[0].images[0].digest]
    assert (seen(team["b"]), seen(team["c"])) == ([], [])
    assert team["b"].requests[0].messages[0].content == ASKED
    assert done.report is not None
    assert {trace.model: trace.images for trace in done.report.agents} == {"a": 1, "b": 0, "c": 0}
    assert reasons(done) == "The request's image: shown to 'a'; 'b', 'c' read [image] instead."
    assert not done.report.degraded


async def test_an_answer_that_nobody_saw_the_image_for_is_degraded(team: dict[str, ScriptedEngine]) -> None:
    request = asking("red", "blue", text="Is [image] like [image]?")
    done = await run(team, request, {**LAYERED, "layers": [["b", "c"]]})
    assert done.report is not None
    assert done.report.degraded
    assert reasons(done) == "The request's 2 images: no model that was asked can see; 'b', 'c' read [image]."


async def test_without_images_nothing_is_said(team: dict[str, ScriptedEngine]) -> None:
    done = await run(team, GenerateRequest("r1", (Message("user", "What is [image]?"),)), LAYERED)
    assert done.report is not None
    assert done.report.reasons == ()


@pytest.mark.parametrize("name", ["rank", "debate", "plan", "cascade", "adaptive", "vote", "self-moa", "blend"])
async def test_every_strategy_shows_images_to_each_agent_that_sees(name: str) -> None:
    trio = {
        model: ScriptedEngine(model, f"{model} says it", modalities=("text", "image"), logprob=-9.0) for model in "abc"
    }
    request = asking("red")
    presets = [name, "moa-lite"] if name == "cascade" else [name]
    orchestrator = Orchestrator(trio, load_recipes(presets, TEAM))
    await complete(name, orchestrator.engines[name], request)
    digest = request.messages[0].images[0].digest
    for engine in trio.values():
        for asked in engine.requests:
            images = [
                (message.content[one.offset :][:7], one.digest) for message in asked.messages for one in message.images
            ]
            assert images == [("[image]", digest)], (engine.model, asked.messages)


async def test_references_of_an_earlier_call_that_saw_the_image_do_not_degrade(
    team: dict[str, ScriptedEngine],
) -> None:
    team["c"].tools = True
    team["c"].answer = ScriptedAnswer("", tool_calls=(ToolCall("call_1", "look", "{}"),))
    orchestrator = Orchestrator(team, load_recipes([LAYERED]))
    first = asking("red", tools=(Tool("look"),))
    await complete("team", orchestrator.engines["team"], first)
    loop = (
        *first.messages,
        Message("assistant", "", tool_calls=(ToolCall("call_1", "look", "{}"),)),
        Message("tool", "nothing", tool_call_id="call_1"),
    )
    done = await complete("team", orchestrator.engines["team"], replace(first, messages=loop))
    assert len(team["a"].requests) == 1
    assert done.report is not None
    assert not done.report.degraded
    assert "not shown in this call, but the proposals were made before it" in reasons(done)


def test_advice_is_that_of_the_same_images() -> None:
    policy = load_recipes([LAYERED])["team"]
    keys = {
        advice_key(policy, request, advised_turn(request.messages, None))
        for request in (asking("red"), asking("red"), asking("blue"), GenerateRequest("r", (Message("user", ASKED),)))
    }
    assert len(keys) == 3


async def test_equal_calls_with_different_images_are_not_shared() -> None:
    engine = ScriptedEngine("m", "It is red", ttft_s=0.02, modalities=("text", "image"))
    orchestrator = Orchestrator({"m": engine}, {})
    greedy = Sampling(temperature=0)
    asked = [asking(color, sampling=greedy, stream_interval=None) for color in ("red", "red", "blue")]

    await asyncio.gather(*(complete("m", orchestrator.engines["m"], request) for request in asked))
    assert len(engine.requests) == 2


async def test_a_judge_that_sees_is_asked_with_the_image(team: dict[str, ScriptedEngine]) -> None:
    request = asking("red")
    await run(team, request, {"id": "team", "strategy": "rank", "proposers": ["b", "c"], "judge": "a"})
    assert seen(team["a"]) == [request.messages[0].images[0].digest]


def test_a_recipe_reads_what_any_of_its_models_reads() -> None:
    sees, blind = EngineInfo(modalities=("text", "image")), EngineInfo()
    recipes = load_recipes([LAYERED, {"id": "auto", "strategy": "auto", "otherwise": "team"}])
    models = {"a": sees, "b": blind, "c": blind}
    assert modalities_of("team", recipes, models) == ("text", "image")
    assert modalities_of("auto", recipes, models) == ("text", "image")
    assert modalities_of("auto", recipes, {**models, "a": blind}) == ("text",)
    assert modalities_of("b", recipes, models) == ("text",)


def test_cards_say_modalities(team: dict[str, ScriptedEngine]) -> None:
    cards = {card.id: card.modalities for card in Orchestrator(team, load_recipes([LAYERED])).cards()}
    assert cards == {"team": ("text", "image"), "a": ("text", "image"), "b": ("text",), "c": ("text",)}


async def test_tokens_are_counted_as_the_final_model_reads_them(team: dict[str, ScriptedEngine]) -> None:
    orchestrator = Orchestrator(team, load_recipes([LAYERED]))
    blind = GenerateRequest("r", (Message("user", ASKED),))
    assert await orchestrator.engines["team"].count_tokens(asking("red")) == await team["c"].count_tokens(blind)
