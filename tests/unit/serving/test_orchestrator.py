"""The orchestrator's engines and model cards."""

from dataclasses import replace

import pytest

from serving.cards import ModelCard
from serving.engines.observed import ObservedEngine
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.errors import ConfigError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes


def test_every_model_and_recipe_has_an_engine_and_a_card() -> None:
    models = {name: ScriptedEngine(name, context_tokens=tokens) for name, tokens in (("a", 100), ("b", 50), ("c", 10))}
    recipe = {"id": "team", "layers": [["a"]], "aggregator": "b", "description": "A team."}
    orchestrator = Orchestrator(models, load_recipes([recipe]))
    team, *others = orchestrator.cards()
    assert team.settings["aggregator"] == {"type": "string", "enum": ["a", "b", "c"], "default": "b"}
    assert [replace(team, settings={}), *others] == [
        ModelCard("team", "recipe", 50, "A team."),
        ModelCard("a", "model", 100),
        ModelCard("b", "model", 50),
        ModelCard("c", "model", 10),
    ]
    kinds = {name: engine.kind for name, engine in orchestrator.engines.items() if isinstance(engine, ObservedEngine)}
    assert kinds == {"team": "recipe", "a": "model", "b": "model", "c": "model"}


def test_cards_have_what_the_operator_says_of_models_and_what_recipes_can() -> None:
    models = {"a": ScriptedEngine("a"), "b": ScriptedEngine("b", thinking=True, tools=True)}
    recipes = load_recipes([{"id": "team", "layers": [["a"]], "aggregator": "b"}])
    prices = {"b": {"prompt": 0.5, "completion": 2.0}}
    team, plain, thinking = Orchestrator(models, recipes).cards({"a": "Knows sums."}, prices)
    assert (team.thinking, plain.thinking, thinking.thinking) == (True, False, True)
    assert (team.tools, plain.tools, thinking.tools) == (True, False, True)
    assert (plain.description, plain.usd_per_million_tokens) == ("Knows sums.", None)
    assert (thinking.description, thinking.usd_per_million_tokens) == ("", prices["b"])
    assert thinking.settings == {}


def test_models_that_embed_have_cards_and_no_part_in_recipes() -> None:
    pooling = {"e": ScriptedPoolingEngine("e", context_tokens=9), "r": ScriptedPoolingEngine("r", "rerank")}
    orchestrator = Orchestrator({"a": ScriptedEngine("a", context_tokens=10)}, {}, pooling=pooling)
    assert orchestrator.cards() == [
        ModelCard("a", "model", 10),
        ModelCard("e", "model", 9, task="embed"),
        ModelCard("r", "model", 1_000_000, task="rerank"),
    ]
    assert (set(orchestrator.engines), set(orchestrator.pooling)) == ({"a"}, {"e", "r"})


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"id": "team", "layers": [["a", "e"]], "aggregator": "a"}, "'team' names 'e' as an agent, which generates no"),
        ({"id": "team", "layers": [["a"]], "aggregator": "e"}, r"choose one of: a\.$"),
        ({"id": "team", "strategy": "cascade", "first": "a", "escalate": "e"}, "'team' names 'e' as an agent"),
        ({"id": "e", "layers": [["a"]], "aggregator": "a"}, "'e' is the id of a model and of a recipe"),
    ],
)
def test_a_recipe_that_names_one_is_refused(recipe: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Orchestrator({"a": ScriptedEngine("a")}, load_recipes([recipe]), pooling={"e": ScriptedPoolingEngine("e")})
