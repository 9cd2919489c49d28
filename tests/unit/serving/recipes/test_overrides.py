"""Overrides of a recipe by a request: applied, or refused by name before any engine is asked."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from scripts.generate_docs import overrides_table
from serving.errors import ConfigError, InvalidRequest
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.loading import STRATEGIES
from serving.recipes.overrides import override_schemas
from tests.support.recipes import TEAM, Ask, Trio, outcomes, run

# For each strategy a recipe and, of every field that its requests may set, a value that is honoured.
COMMON: dict[str, Any] = {
    "advise": {"every": 2},
    "below_quorum": "answer",
    "refill": True,
    "tools": "vote",
    "small_tasks": {"model": "c"},
    "layout": "references_last",
    "prefill": "off",
    "reference_order": "arrival",
    "min_proposals": 1,
    "straggler_grace_s": 1.5,
    "deadline_s": 9,
    "temperature": 0.1,
    "proposal_max_tokens": 5,
}
OWN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "layered": ({"preset": "moa-lite"}, {"models": ["b"], "layers": 2, "aggregator": "c"}),
    "self_moa": ({"preset": "self-moa"}, {"models": ["c"], "samples": 2}),
    "self_moa_seq": ({"preset": "self-moa-seq"}, {"models": ["c"], "samples": 20}),
    "rank": ({"preset": "rank"}, {"models": ["b", "c"]}),
    "blend": ({"preset": "blend"}, {"models": ["b", "c"], "top": 1}),
    "vote": (
        {"preset": "vote"},
        {"models": ["b", "c"], "samples": 3, "answer_kind": "number", "stop": "likely", "stop_error": 0.1, "wave": 2},
    ),
    "debate": ({"preset": "debate"}, {"models": ["c", "a"], "rounds": 1}),
    "plan": ({"preset": "plan"}, {"models": ["b"], "parts": 2}),
    "cascade": ({"preset": "cascade"}, {"models": ["c"], "threshold": 0.2}),
    "auto": ({"preset": "auto"}, {}),
    "adaptive": (
        {"preset": "adaptive"},
        {"models": ["b", "c"], "agreement": 0.6, "answer_kind": "number", "stop": "likely", "stop_error": 0.1},
    ),
    "staircase": (
        {"preset": "moa-staircase"},
        {"models": ["b", "c"], "aggregator": "c", "first_chunk_tokens": 2, "chunk_tokens": 3},
    ),
}


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
async def test_every_field_that_a_request_may_set_is_honoured(trio: Trio, ask: Ask, strategy: str) -> None:
    recipe, own = OWN[strategy]
    allowed = STRATEGIES[strategy].per_request
    assert allowed - set(COMMON) == set(own) | ({"threshold"} if strategy == "adaptive" else set())
    [loaded] = load_recipes([recipe], TEAM).values()
    for name, value in {**COMMON, **own}.items():
        if name in allowed:
            assert loaded.overridden({name: value}) != loaded or value == getattr(loaded, name)
            await run(trio, ask(options={name: value}), recipe, "moa-lite" if strategy != "layered" else "vote")
        else:
            with pytest.raises(InvalidRequest, match=rf"Remove 'moa\.{name}'"):
                loaded.overridden({name: value})


def test_the_documented_table_is_the_real_one() -> None:
    assert overrides_table() in Path("docs/recipes.md").read_text()


@pytest.mark.parametrize(
    ("preset", "options", "param", "message"),
    [
        ("moa-lite", {"layers": 20_000_000}, "moa.layers", "a number from 1 to 16"),
        ("moa-lite", {"layers": 0}, "moa.layers", "a number from 1 to 16"),
        ("moa-lite", {"layers": True}, "moa.layers", "a number from 1 to 16"),
        ("moa-lite", {"layers": "abc", "models": ["a"]}, "moa.layers", "a number from 1 to 16"),
        ("moa-lite", {"layers": [["a"]] * 17}, "moa.layers", "a number from 1 to 16"),
        ("moa-lite", {"layers": [["a"], [3]]}, "moa.layers[1][0]", "an object"),
        ("moa-lite", {"layers": 5_000_000, "models": ["a"]}, "moa.layers", "a number from 1 to 16"),
        ("moa-lite", {"models": "a"}, "moa.models", "to a list, not a string"),
        ("moa-lite", {"models": []}, "moa.models", "at least 1 and at most 64 entries"),
        ("rank", {"models": ["a"] * 1000}, "moa.models", "at most 64 entries"),
        ("rank", {"models": ["a", {"model": "b", "top_p": 3}]}, "moa.models[1].top_p", "at most 1"),
        ("rank", {"layout": "paper", "min_proposals": 4}, "moa.min_proposals", "only 3"),
        ("moa", {"min_proposals": 4}, "moa.min_proposals", "only 3"),
        ("moa", {"models": ["a", "b"], "min_proposals": 3}, "moa.min_proposals", "only 2"),
        ("self-moa", {"samples": 2, "min_proposals": 3}, "moa.min_proposals", "only 2"),
        ("vote", {"samples": 2, "min_proposals": 3}, "moa.min_proposals", "only 2"),
        ("self-moa", {"models": ["a", "b"]}, "moa.models", "at most 1 entry"),
        ("debate", {"models": ["a", "b", "c"]}, "moa.models", "at most 2 entries"),
        ("adaptive", {"threshold": 1, "agreement": 1}, "moa.threshold", "mean the same"),
        ("vote", {"wave": 1, "stop": "never"}, "moa.wave", "no effect with stop: never"),
        ("vote", {"stop_error": 0.5}, "moa.stop_error", "less than 0.5"),
        ("vote", {"samples": 65}, "moa.samples", "at most 64"),
        ("cascade", {"layout": "paper"}, "moa.layout", "Remove"),
        ("auto", {"temperature": 1}, "moa.temperature", "Remove"),
    ],
)
def test_what_cannot_be_is_refused_by_name_at_once(
    preset: str, options: dict[str, Any], param: str, message: str
) -> None:
    recipe = load_recipes([preset], TEAM)[preset]
    tracemalloc.start()
    with pytest.raises(InvalidRequest, match=message) as caught:
        recipe.overridden(options)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.param == param
    assert peak_bytes < 2**20  # nothing as large as the number that was asked for is built


@pytest.mark.parametrize("preset", ["moa", "self-moa", "self-moa-seq", "vote", "rank", "blend", "adaptive", "plan"])
def test_a_quorum_that_cannot_be_reached_is_refused_at_start(preset: str) -> None:
    with pytest.raises(ConfigError, match="min_proposals is 13, but a layer has only"):
        load_recipes([{"preset": preset, "min_proposals": 13}], TEAM)


async def test_models_play_the_parts_of_strategies_without_a_team(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(options={"models": ["c"], "samples": 2}), "self-moa")
    assert [model for _, _, model in outcomes(done)] == ["c", "c", "a"]
    trio["a"].answer = "ACCEPT"
    done = await run(trio, ask(options={"models": ["c", "a"]}), "debate")
    assert [(role, model) for _, role, model in outcomes(done)] == [("solver", "c"), ("critic", "a")]
    done = await run(trio, ask(options={"models": ["a"]}), "debate")
    assert [(role, model) for _, role, model in outcomes(done)][:2] == [("solver", "a"), ("critic", "c")]
    done = await run(trio, ask(options={"models": ["c"]}), "cascade", "moa-lite")
    assert outcomes(done) == [(1, "first", "c")]


async def test_vote_takes_so_many_samples_from_its_team_in_turn(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(options={"samples": 4, "models": ["a", "b", "c"]}), "vote")
    assert sorted(model for _, _, model in outcomes(done)) == ["a", "a", "b", "c"]


async def test_adaptive_takes_its_threshold_by_either_name(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer, trio["c"].answer = "Paris", "Rome", "Paris"
    for word in ("threshold", "agreement"):
        assert (await run(trio, ask(options={word: 0.6}), "adaptive")).text == "Paris"
        assert len(trio["a"].requests) == 1
        trio["a"].requests.clear()


async def test_a_model_that_lacks_what_the_recipe_needs_is_refused_per_request(trio: Trio, ask: Ask) -> None:
    trio["c"].unsupported = frozenset({"logprobs"})
    with pytest.raises(InvalidRequest, match="requires logprobs of 'c'"):
        await run(trio, ask(options={"models": ["c"]}), "cascade", "moa-lite")
    assert not any(engine.requests for engine in trio.values())
    Orchestrator(trio, load_recipes(["cascade", "moa-lite"], TEAM))


async def test_the_former_name_of_a_setting_is_refused_with_the_current_one(trio: Trio, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match=r"Rename 'moa\.prewarm': it is now called 'moa\.prefill'"):
        await run(trio, ask(options={"prewarm": "off"}), "moa-lite")


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_setting_has_a_schema_whose_default_changes_nothing(strategy: str) -> None:
    [recipe] = load_recipes([OWN[strategy][0]], TEAM).values()
    schemas = override_schemas(recipe, ["a", "b", "c"])
    assert set(schemas) == recipe.per_request - ({"threshold"} if strategy == "adaptive" else set())
    for name, schema in schemas.items():
        assert schema["type"] in ("string", "number", "integer", "boolean", "array"), name
        if "default" in schema:
            assert recipe.overridden({name: schema["default"]}) == recipe, name


def test_schemas_have_types_bounds_and_the_values_of_the_recipe() -> None:
    [recipe] = load_recipes([{"preset": "moa-lite", "min_proposals": 2, "straggler_grace_s": None}], TEAM).values()
    schemas = override_schemas(recipe, ["a", "b", "c"])
    assert [*schemas][:3] == ["models", "layers", "aggregator"]
    assert schemas["models"]["default"] == ["a", "b", "c"]
    assert schemas["models"]["items"]["enum"] == ["a", "b", "c"]
    assert schemas["aggregator"] == {"type": "string", "enum": ["a", "b", "c"], "default": "a"}
    layers = {"type": "integer", "minimum": 1, "maximum": 16, "default": 1}
    assert schemas["layers"] == {**layers, "description": "Number of proposer layers."}
    quorum, grace = schemas["min_proposals"], schemas["straggler_grace_s"]
    assert (quorum["type"], quorum["minimum"], quorum["default"]) == ("integer", 1, 2)
    assert (grace["type"], grace["minimum"]) == ("number", 0)
    assert "default" not in grace
    assert schemas["refill"]["type"] == "boolean"
    assert schemas["below_quorum"]["enum"] == ["fail", "answer", "single"]
    assert schemas["deadline_s"]["exclusiveMinimum"] == 0
    assert (schemas["advise"]["enum"], schemas["advise"]["default"]) == (["user_turn", "every_turn"], "user_turn")


def test_the_schema_of_models_is_that_of_the_agents_that_they_replace() -> None:
    recipes = load_recipes(["debate", "cascade", "moa-lite", {"preset": "vote", "samples": 5}], TEAM)
    of = {name: override_schemas(recipe, ["a", "b", "c"])["models"] for name, recipe in recipes.items()}
    assert (of["debate"]["maxItems"], of["debate"]["description"]) == (2, "Models, in this order: solver, critic.")
    assert (of["cascade"]["maxItems"], len(of["cascade"]["default"])) == (1, 1)
    assert of["vote"]["default"] == ["a", "b", "c", "a", "b", "c"]  # not the five voters


def test_an_advise_that_is_no_word_has_no_default() -> None:
    [recipe] = load_recipes([{"preset": "moa-lite", "advise": {"every": 3}}], TEAM).values()
    assert "default" not in override_schemas(recipe, ["a"])["advise"]


@pytest.mark.parametrize(
    ("preset", "options", "param", "kind"),
    [
        ("moa-lite", {"deadline_s": True}, "moa.deadline_s", "a number, not true"),
        ("moa-lite", {"min_proposals": True}, "moa.min_proposals", "an integer, not true"),
        ("moa-lite", {"min_proposals": "2"}, "moa.min_proposals", "an integer, not a string"),
        ("moa-lite", {"refill": "yes"}, "moa.refill", "true or false, not a string"),
        ("moa-lite", {"temperature": "0.1"}, "moa.temperature", "a number, not a string"),
        ("moa-lite", {"models": [{"model": "a", "repeat": "3"}]}, "moa.models[0].repeat", "an integer, not a string"),
        ("moa-lite", {"models": ["a", 5]}, "moa.models[1]", "a model id or an object, not a number"),
        ("moa-lite", {"models": ["a", None]}, "moa.models[1]", "a model id or an object, not null"),
        ("vote", {"samples": "3"}, "moa.samples", "an integer, not a string"),
        ("cascade", {"threshold": "0.5"}, "moa.threshold", "a number, not a string"),
    ],
)
def test_a_value_of_another_type_is_refused_as_in_the_rest_of_the_body(
    preset: str, options: dict[str, Any], param: str, kind: str
) -> None:
    [recipe] = load_recipes([{"preset": preset}], TEAM).values()
    with pytest.raises(InvalidRequest) as caught:
        recipe.overridden(options)
    assert (caught.value.param, str(caught.value)) == (param, f"Set '{param}' to {kind}.")
