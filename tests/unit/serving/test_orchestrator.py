"""The orchestrator's engines and model cards."""

from serving.engines.observed import ObservedEngine
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import ModelCard


def test_every_model_and_recipe_has_an_engine_and_a_card() -> None:
    models = {name: ScriptedEngine(name, context_tokens=tokens) for name, tokens in (("a", 100), ("b", 50), ("c", 10))}
    recipe = {"id": "team", "layers": [["a"]], "aggregator": "b", "description": "A team."}
    orchestrator = Orchestrator(models, load_recipes([recipe]))
    assert orchestrator.cards() == [
        ModelCard("team", "recipe", 50, "A team."),
        ModelCard("a", "model", 100),
        ModelCard("b", "model", 50),
        ModelCard("c", "model", 10),
    ]
    kinds = {name: engine.kind for name, engine in orchestrator.engines.items() if isinstance(engine, ObservedEngine)}
    assert kinds == {"team": "recipe", "a": "model", "b": "model", "c": "model"}
