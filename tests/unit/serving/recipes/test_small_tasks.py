"""Small tasks of user interfaces: which requests are some, and which model answers them."""

import time
from dataclasses import replace
from typing import Any

import pytest

from serving.conversation import Message, Thinking, Tool
from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer
from serving.errors import ConfigError, EngineFailed, InvalidRequest
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.small_tasks import small_task, small_task_models
from serving.types import Completion, GenerateRequest
from tests.support.recipes import TEAM, Ask, Trio, outcomes, reasons, run
from tests.support.small_tasks import LIBRECHAT, NEAR_MISSES, OPEN_WEBUI

TITLE = OPEN_WEBUI["title"]
PRICES = {"a": (2.0, 4.0), "b": (1.0, 3.0), "c": (1.0, 2.0)}


def asked(*contents: str, roles: str = "u", **fields: Any) -> GenerateRequest:
    role_of = {"u": "user", "s": "system", "a": "assistant"}
    turns = tuple(Message(role_of[role], content) for role, content in zip(roles, contents, strict=True))  # type: ignore[arg-type]
    return GenerateRequest("r1", turns, **fields)


@pytest.mark.parametrize("kind", OPEN_WEBUI)
def test_open_webui_s_tasks_are_known(kind: str) -> None:
    assert small_task(asked(OPEN_WEBUI[kind])) == kind
    assert small_task(asked("Be kind.", OPEN_WEBUI[kind], roles="su")) == kind


@pytest.mark.parametrize("kind", LIBRECHAT)
def test_librechat_s_titles_are_known(kind: str) -> None:
    assert small_task(asked(LIBRECHAT[kind])) == "title"


@pytest.mark.parametrize("case", NEAR_MISSES)
def test_a_person_s_question_is_none(case: str) -> None:
    assert small_task(asked(NEAR_MISSES[case])) is None


@pytest.mark.parametrize(
    "request_",
    [
        asked("Hi", "Hello", TITLE, roles="uau"),  # within a conversation
        asked("Hi", TITLE, roles="uu"),
        asked(TITLE, "Be kind.", roles="us"),
        asked(TITLE, tools=(Tool("look"),)),
    ],
)
def test_a_frame_that_is_not_the_whole_request_is_none(request_: GenerateRequest) -> None:
    assert small_task(request_) is None


def test_a_long_message_of_frames_is_read_in_linear_time() -> None:
    def cpu_seconds(frames: int) -> float:
        """Least of three: what else runs on the machine is not measured."""
        text = "### Task:\n" + "\n### Output:\n\n<chat_history>\n" * frames + "\n</chat_history>"

        def once() -> float:
            began = time.process_time()
            assert small_task(asked(text)) is None
            return time.process_time() - began

        return min(once() for _ in range(3))

    small, large = cpu_seconds(10_000), cpu_seconds(40_000)
    assert large < max(small, 0.001) * 10  # four times the text; 16 times the work if each frame looked at all behind


async def one_model(trio: Trio, *recipes: Any, prices: Any = None, **fields: Any) -> Completion:
    """The answer of the first recipe to a title task."""
    served = load_recipes(recipes, TEAM)
    orchestrator = Orchestrator(trio, served, prices=prices)
    return await complete("x", orchestrator.engines[next(iter(served))], asked(TITLE, **fields))


@pytest.mark.parametrize(
    ("recipes", "model"),
    [
        (["moa-lite"], "a"),  # the aggregator
        (["moa"], "a"),
        (["plan"], "a"),
        (["debate"], "b"),  # the solver
        (["vote"], "a"),  # the first proposer
        (["rank"], "a"),
        (["cascade", "moa-lite"], "b"),  # the first model
        (["auto", "moa-lite"], "b"),  # the model to which it delegates
        ([{"id": "x", "strategy": "auto", "otherwise": "moa-lite"}, "moa-lite"], "a"),
    ],
)
async def test_one_model_answers_and_the_answer_says_so(trio: Trio, recipes: list[Any], model: str) -> None:
    done = await one_model(trio, *recipes)
    assert done.text == f"{model} says 0"
    assert outcomes(done) == [(1, "small_task", model)]
    assert reasons(done) == f"Small task of a user interface (title): '{model}' was asked alone."
    assert done.report is not None
    assert not done.report.degraded
    assert done.report.answer_usage == done.report.usage == done.usage


async def test_the_cheapest_model_is_asked_where_prices_are_known(trio: Trio) -> None:
    assert outcomes(await one_model(trio, "moa-lite", prices=PRICES)) == [(1, "small_task", "c")]
    assert outcomes(await one_model(trio, "moa-lite", prices={"b": (9.0, 9.0)})) == [(1, "small_task", "b")]


def test_models_without_a_price_come_last_and_in_their_order() -> None:
    [recipe] = load_recipes([{"id": "x", "layers": [["b", "c"]], "aggregator": "a"}]).values()
    assert small_task_models(recipe, {}, {}) == ("a", "b", "c")
    assert small_task_models(recipe, {}, {"c": (1.0, 1.0)}) == ("c", "a", "b")
    assert small_task_models(recipe, {}, PRICES) == ("c", "b", "a")


async def test_a_named_model_is_asked_even_if_it_is_no_agent_of_the_recipe(trio: Trio) -> None:
    recipe = {"id": "x", "layers": [["b"]], "aggregator": "b", "small_tasks": {"model": "c"}}
    assert outcomes(await one_model(trio, recipe, prices=PRICES)) == [(1, "small_task", "c")]


async def test_the_team_answers_if_the_recipe_says_so(trio: Trio) -> None:
    done = await one_model(trio, {"preset": "moa-lite", "small_tasks": "team"})
    assert len(outcomes(done)) == 4
    assert reasons(done) == ""


@pytest.mark.parametrize("setting", ["team", {"model": "c"}, "one_model"])
async def test_a_request_may_change_it(trio: Trio, ask: Ask, setting: Any) -> None:
    done = await run(trio, ask(TITLE, options={"small_tasks": setting}), "moa-lite")
    wanted = {"team": 4}.get(setting, 1) if isinstance(setting, str) else 1
    assert len(outcomes(done)) == wanted


async def test_the_next_model_answers_if_the_first_fails(trio: Trio) -> None:
    trio["c"].error = EngineFailed("c", "gone")
    done = await one_model(trio, "moa-lite", prices=PRICES)
    assert outcomes(done) == [(1, "small_task", "c"), (1, "small_task", "b")]
    assert done.report is not None
    assert done.report.degraded
    assert done.text == "b says 0"


async def test_it_does_not_think_unless_the_request_asks_for_it(trio: Trio) -> None:
    trio["a"].thinking, trio["a"].answer = True, ScriptedAnswer("Tides", "hm")
    assert (await one_model(trio, "moa-lite")).choices[0].reasoning == ""
    assert (await one_model(trio, "moa-lite", thinking=Thinking(True))).choices[0].reasoning == "hm"


async def test_the_sampling_is_the_request_s_as_for_a_single_model(trio: Trio) -> None:
    await one_model(trio, {"preset": "moa-lite", "temperature": 0.3})
    assert trio["a"].requests[-1].sampling.temperature is None


async def test_a_person_s_question_is_answered_by_the_team(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(NEAR_MISSES["quoted in a question"]), "moa-lite")
    assert len(outcomes(done)) == 4


@pytest.mark.parametrize("setting", ["never", {"model": ""}, {"model": 3}, {"to": "a"}, {}, 1, None, True])
def test_a_wrong_setting_is_refused(setting: Any) -> None:
    with pytest.raises(ConfigError, match="small_tasks is 'one_model', 'team', or an object with the id of a 'model'"):
        load_recipes([{"preset": "moa-lite", "small_tasks": setting}], TEAM)


def test_a_model_that_is_not_served_is_refused_at_the_start(trio: Trio) -> None:
    recipe = {"preset": "moa-lite", "small_tasks": {"model": "tiny"}}
    with pytest.raises(ConfigError, match="'moa-lite' needs the model 'tiny', which the profile does not serve"):
        Orchestrator(trio, load_recipes([recipe], TEAM))


async def test_a_model_that_is_not_served_is_refused_in_a_request(trio: Trio, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match="'tiny' is not one of the models a, b, c"):
        await run(trio, ask(options={"small_tasks": {"model": "tiny"}}), "moa-lite")


async def test_a_system_message_is_kept(trio: Trio) -> None:
    orchestrator = Orchestrator(trio, load_recipes(["moa-lite"], TEAM))
    request = replace(asked("Be kind.", TITLE, roles="su"))
    await complete("x", orchestrator.engines["moa-lite"], request)
    assert [message.content for message in trio["a"].requests[-1].messages] == ["Be kind.", TITLE]
