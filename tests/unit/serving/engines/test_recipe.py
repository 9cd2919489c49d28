"""Recipes as engines: options of a request, limits, the report, and cleanup."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from serving.engine import Engine, EngineInfo, Work, complete
from serving.engines.recipe import RecipeEngine
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import InvalidRequest, LimitExceeded, UnsupportedField
from serving.orchestrator import check_recipes
from serving.recipes import load_recipes
from serving.recipes.cost import Limits
from serving.runtime.shared_state import Runtime
from serving.types import Delta, GenerateRequest, MoaOptions, Sampling
from tests.support.clock import simulated_time

Trio = dict[str, ScriptedEngine]
Ask = Callable[..., GenerateRequest]
TEAM = {"id": "team", "layers": [["a", "b"]], "aggregator": "c", "prefill": "off"}
OTHER = {"id": "other", "layers": [["b"]], "aggregator": "b", "prefill": "off"}


def engine_of(trio: Trio, limits: Limits | None = None) -> RecipeEngine:
    return served(dict(trio), [TEAM, OTHER], limits or Limits())


def served(engines: dict[str, Engine], recipes: Sequence[dict[str, Any]], limits: Limits) -> RecipeEngine:
    """The recipe "team" of `recipes`."""
    loaded = load_recipes(recipes)
    caps = check_recipes({name: engine.info for name, engine in engines.items()}, loaded, limits)
    return RecipeEngine("team", loaded, Runtime(engines), limits, caps)


async def test_usage_report_and_timing_are_those_of_the_whole_run(trio: Trio, ask: Ask) -> None:
    done = await complete("team", engine_of(trio), ask())
    assert done.report is not None
    assert [(agent.layer, agent.model) for agent in done.report.agents] == [(1, "a"), (1, "b"), (2, "c")]
    assert done.usage.total_tokens == sum(agent.usage.total_tokens or 0 for agent in done.report.agents)
    assert done.timing.ttft_s is not None
    assert done.timing.total_s is not None
    assert done.timing.ttft_s <= done.timing.total_s


@simulated_time
async def test_the_first_token_of_a_recipe_is_that_of_its_last_layer() -> None:
    engines: dict[str, Engine] = {
        name: ScriptedEngine(name, "one two", ttft_s=1.0, itl_s=0.5, context_tokens=4096) for name in "abc"
    }
    engine = served(engines, [TEAM], Limits())
    done = await complete("team", engine, GenerateRequest("r", ()))
    assert (done.timing.ttft_s, done.timing.total_s) == pytest.approx((2.5, 3.0))


async def test_another_recipe_can_be_named_by_the_request(trio: Trio, ask: Ask) -> None:
    done = await complete("team", engine_of(trio), ask(options={"recipe": "other"}))
    assert done.report is not None
    assert done.report.recipe == "other"
    with pytest.raises(InvalidRequest, match='choose one of team, other, not "none"') as caught:
        await complete("team", engine_of(trio), ask(options={"recipe": "none"}))
    assert caught.value.param == "moa.recipe"


async def test_a_model_that_is_not_served_is_refused(trio: Trio, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match="'x' is not one of the models a, b, c"):
        await complete("team", engine_of(trio), ask(options={"aggregator": "x"}))


@pytest.mark.parametrize(("sampling", "field"), [({"n": 2}, "n"), ({"logprobs": 0}, "logprobs")])
async def test_what_only_single_models_support_is_refused(
    trio: Trio, ask: Ask, sampling: dict[str, int], field: str
) -> None:
    with pytest.raises(UnsupportedField) as caught:
        await complete("team", engine_of(trio), ask(**sampling))
    assert caught.value.field == field
    assert not any(engine.requests for engine in trio.values())


async def test_the_token_cap_shares_the_limit_and_is_computed_at_start(trio: Trio, ask: Ask) -> None:
    engine = engine_of(trio, Limits(max_tokens=300))
    for _ in range(2):
        await complete("team", engine, ask())
    assert {request.token_cap for one in trio.values() for request in one.requests} == {100}
    assert engine._caps["team"] == 100
    with pytest.raises(LimitExceeded):
        await complete("team", engine, ask(max_tokens=101))


async def test_too_many_tokens_are_named_by_the_field_that_asks_for_them(trio: Trio, ask: Ask) -> None:
    engine = engine_of(trio, Limits(max_tokens=300))
    with pytest.raises(LimitExceeded, match="lower 'max_tokens'") as caught:
        await complete("team", engine, ask(max_tokens=101))
    assert caught.value.param == "max_tokens"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"models": ["a", "x"]}, "moa.models[1]"),
        ({"models": ["a", {"model": "x"}]}, "moa.models[1].model"),
        ({"aggregator": "x"}, "moa.aggregator"),
        ({"small_tasks": {"model": "x"}}, "moa.small_tasks.model"),
    ],
)
async def test_a_model_that_is_not_served_is_named_with_its_place(
    trio: Trio, ask: Ask, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest, match="'x' is not one of the models a, b, c") as caught:
        await complete("team", engine_of(trio), ask(options=options))
    assert caught.value.param == param


async def test_leaving_the_answer_ends_every_call(trio: Trio, ask: Ask) -> None:
    trio["a"].hang = trio["b"].hang = True
    engine = engine_of(trio)
    stream = engine.generate(ask())
    reading: asyncio.Task[Delta] = asyncio.ensure_future(anext(stream))  # type: ignore[arg-type]
    while not (trio["a"].running and trio["b"].running):  # noqa: ASYNC110 - engines have no event to wait for
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert [(one.running, one.cancelled) for one in (trio["a"], trio["b"])] == [(0, 1)] * 2


async def test_a_recipe_is_ready_with_its_models_and_knows_nothing_of_itself(trio: Trio) -> None:
    for one in trio.values():
        one.healthy = False  # reported under the models' own ids
    engine = engine_of(trio)
    await engine.check_health()
    assert engine.info == EngineInfo()


@pytest.mark.parametrize("ability", ["tools", "thinking"])
async def test_a_recipe_can_what_its_final_agent_can(trio: Trio, ability: str) -> None:
    setattr(trio["a"], ability, True)
    assert engine_of(trio).info == EngineInfo()
    setattr(trio["c"], ability, True)
    assert getattr(engine_of(trio).info, ability)


@simulated_time
async def test_reasoning_is_the_first_output_of_a_recipe() -> None:
    engines: dict[str, Engine] = {name: ScriptedEngine(name, "one", ttft_s=1.0, itl_s=0.5) for name in "ab"}
    engines["c"] = ScriptedEngine("c", ScriptedAnswer("two", "Hm. So."), ttft_s=1.0, itl_s=0.5)
    engine = served(engines, [TEAM], Limits())
    done = await complete("team", engine, GenerateRequest("r", ()))
    assert (done.timing.ttft_s, done.timing.total_s) == pytest.approx((2.0, 3.0))


async def test_the_final_agents_model_counts_tokens(trio: Trio, ask: Ask) -> None:
    request = ask()
    assert await engine_of(trio).count_tokens(request) == await trio["c"].count_tokens(request)
    assert not trio["c"].requests
    voting = {"id": "team", "strategy": "vote", "proposers": ["a", "b"]}
    assert await served(dict(trio), [voting], Limits()).count_tokens(request) == await trio["a"].count_tokens(request)


@pytest.mark.parametrize(
    ("fields", "moa", "work"),
    [
        ({"max_tokens": 10}, MoaOptions(), Work(3, 30)),
        ({"max_tokens": 10}, MoaOptions(overrides={"layers": 2}), Work(5, 50)),
        ({"max_tokens": 10}, MoaOptions(recipe="other"), Work(2, 20)),
        ({}, MoaOptions(), Work(3, 3 * 333)),
    ],
)
def test_the_work_of_a_request_is_that_of_its_recipe_and_settings(
    trio: Trio, ask: Ask, fields: dict[str, int], moa: MoaOptions, work: Work
) -> None:
    engine = engine_of(trio, Limits(max_tokens=1000))
    request = replace(ask(), sampling=Sampling(**fields), moa=moa)
    assert [engine.work(request) for _ in range(2)] == [work, work]


class UnknownContext(ScriptedEngine):
    """An engine whose context is not known, as that of an external endpoint."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, context_tokens=None)


def test_the_work_of_a_request_fits_the_contexts_and_the_limits(ask: Ask) -> None:
    small: dict[str, Engine] = {name: ScriptedEngine(name, context_tokens=100) for name in "abc"}
    assert served(small, [TEAM, OTHER], Limits()).work(ask()) == Work(3, 300)
    unknown: dict[str, Engine] = {**small, "c": UnknownContext("c")}
    assert served(unknown, [TEAM, OTHER], Limits(max_tokens=900)).work(ask()) == Work(3, 900)
    with pytest.raises(LimitExceeded):
        served(small, [TEAM, OTHER], Limits(max_tokens=900)).work(replace(ask(), sampling=Sampling(max_tokens=301)))
