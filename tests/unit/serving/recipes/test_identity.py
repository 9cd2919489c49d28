"""The identity of recipes: another one for all that makes other answers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from serving.engine import Engine
from serving.engines import recipe as recipe_engine
from serving.engines.scripted import ScriptedEngine
from serving.errors import InvalidRequest, MoaError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.cost import Limits
from serving.types import CacheOption, GenerateRequest, MoaOptions

TEAM = {"proposers": ("a", "b"), "aggregator": "a", "judge": "b", "solo": "a"}
REQUEST = GenerateRequest("r", ())


def engines(**revisions: str) -> dict[str, Engine]:
    return {name: ScriptedEngine(name, revision=revisions.get(name, "")) for name in ("a", "b", "c")}


def served(recipes: tuple[Any, ...] = ("moa-lite", "vote"), **options: Any) -> Mapping[str, Engine]:
    models = options.pop("models", None) or engines()
    return Orchestrator(models, load_recipes(recipes, TEAM), **options).engines


def identity(name: str = "moa-lite", overrides: Mapping[str, Any] | None = None, **options: Any) -> str:
    moa = MoaOptions(overrides=overrides or {}, recipe=options.pop("chosen", None))
    return served(**options)[name].identity(replace(REQUEST, moa=moa))


def test_it_is_the_same_for_the_same_recipe() -> None:
    assert identity() == identity()
    assert identity(overrides={"layers": 1}) == identity(), "an override that changes nothing"
    assert identity() == identity(models=engines(c="other")), "a model that the recipe does not ask"
    assert identity("vote", chosen="moa-lite") == identity()


OTHERS: Mapping[str, Mapping[str, Any]] = {
    "an override": {"overrides": {"temperature": 0.1}},
    "another team": {"overrides": {"models": ["b", "c"]}},
    "another recipe": {"name": "vote"},
    "a chosen recipe": {"chosen": "vote"},
    "weights of a proposer": {"models": engines(b="other")},
    "weights of the aggregator": {"models": engines(a="other")},
    "the prompt": {"recipes": ({"preset": "moa-lite", "prompt": "Join them."},)},
    "limits": {"limits": Limits(max_tokens=1000)},
    "prices, by which a small task's model is chosen": {"prices": {"a": (1.0, 2.0)}},
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_another_one_for(name: str) -> None:
    assert identity(**OTHERS[name]) != identity()


@pytest.mark.parametrize("overrides", [{}, {"temperature": 0.1}])
def test_it_is_computed_once_for_a_recipe_and_its_overrides(
    overrides: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    compute = recipe_engine.recipe_identity

    def counted(recipe: Any, *given: Any) -> str:
        computed.append(recipe.id)
        return compute(recipe, *given)

    monkeypatch.setattr(recipe_engine, "recipe_identity", counted)
    engine = served()["moa-lite"]
    moa = MoaOptions(overrides=overrides)
    found = {engine.identity(replace(REQUEST, request_id=str(number), moa=moa)) for number in range(3)}
    assert (len(found), computed) == (1, ["moa-lite"])
    for wrong in (MoaOptions(recipe=""), MoaOptions(overrides={"temperature": "hot"})):
        for _ in range(2):
            with pytest.raises(MoaError):
                engine.identity(replace(REQUEST, moa=wrong))


def test_identities_of_many_overrides_take_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe_engine, "MAX_KEPT", 2)
    orchestrator = Orchestrator(engines(), load_recipes(("moa-lite",), TEAM))
    engine = orchestrator.engines["moa-lite"].engine
    changed = [replace(REQUEST, moa=MoaOptions(overrides={"temperature": step / 10})) for step in range(5)]
    found = [engine.identity(request) for request in changed]
    assert len(engine._identities) == 2
    assert [engine.identity(request) for request in changed] == found


def test_recipes_to_which_another_one_delegates_count() -> None:
    auto = {"preset": "auto", "id": "auto"}
    delegates = load_recipes((auto,), TEAM)["auto"].delegates()
    others = [{"preset": "moa", "id": name} for name in delegates if name not in TEAM["proposers"]]
    changed = [{**one, "temperature": 0.1} for one in others]
    assert delegates
    assert identity("auto", recipes=(auto, *others)) != identity("auto", recipes=(auto, *changed))


def test_wrong_overrides_are_refused_as_by_an_answer() -> None:
    with pytest.raises(InvalidRequest):
        identity(overrides={"temperature": -1.0})


@pytest.mark.parametrize(
    ("setting", "option"),
    [({}, None), ({"cache": "off"}, CacheOption(None)), ({"cache": False}, CacheOption(None)),
     ({"cache": {"ttl_s": 60.0}}, CacheOption(60.0))],
)  # fmt: skip
def test_a_recipe_has_a_setting_of_the_cache(setting: Mapping[str, Any], option: CacheOption | None) -> None:
    found = served(({"preset": "moa-lite", **setting}, "vote"))
    assert found["moa-lite"].caching(REQUEST) == option
    assert found["vote"].caching(replace(REQUEST, moa=MoaOptions(recipe="moa-lite"))) == option
    assert found["a"].caching(REQUEST) is None
    changed = replace(REQUEST, moa=MoaOptions(overrides={"temperature": 0.5}))
    assert found["moa-lite"].caching(changed) == option
    assert found["moa-lite"].identity(changed)


@pytest.mark.parametrize("wrong", ["on", True, 60, {"ttl_s": 0.0}, {"ttl": 1.0}, {"ttl_s": "60"}])
def test_wrong_settings_are_refused(wrong: Any) -> None:
    with pytest.raises(Exception, match="cache"):
        load_recipes(({"preset": "moa-lite", "cache": wrong},), TEAM)
