"""Test of the recipe in my_recipe.py with scripted engines in place of models: `.venv/bin/pytest examples`."""

from typing import Any

from serving.conversation import Message
from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineUnavailable
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import Completion, GenerateRequest

# As in a profile.
RECIPE: dict[str, Any] = {"id": "chain", "strategy": "examples.my_recipe:Chain", "chain": ["a", "b"], "writer": "c"}


def engines() -> dict[str, ScriptedEngine]:
    """Models by id, each with the answer that it always gives."""
    return {name: ScriptedEngine(name, answer=f"{name} answers") for name in "abc"}


async def ask(models: dict[str, ScriptedEngine], question: str) -> Completion:
    """Whole answer of the recipe."""
    orchestrator = Orchestrator(models, load_recipes([RECIPE]))
    return await complete("chain", orchestrator.engines["chain"], GenerateRequest("1", (Message("user", question),)))


def prompt_of(model: ScriptedEngine) -> str:
    """All that the model was shown in its last call."""
    return "\n".join(message.content for message in model.requests[-1].messages)


async def test_each_model_reads_the_answers_before_it() -> None:
    """The prompt of a model has the answers of those before it, numbered."""
    models = engines()
    done = await ask(models, "Why?")
    assert done.text == "c answers"
    assert "answers" not in prompt_of(models["a"])
    assert "1. a answers" in prompt_of(models["b"])
    assert "2. b answers" in prompt_of(models["c"])


async def test_a_model_that_fails_is_left_out() -> None:
    """The chain goes on without its answer, and the trace says so."""
    models = engines()
    models["a"].error, models["a"].fail_after = EngineUnavailable("a", "scripted to fail"), 0
    done = await ask(models, "Why?")
    assert done.text == "c answers"
    assert "1. b answers" in prompt_of(models["c"])
    assert done.report is not None
    assert [call.status for call in done.report.agents] == ["failed", "ok", "ok"]
