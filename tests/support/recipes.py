"""Helpers that run one recipe over scripted engines."""

from collections.abc import Mapping
from typing import Any

from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import Completion, GenerateRequest

TEAM: dict[str, str | list[str]] = {"proposers": ["a", "b", "c"], "aggregator": "a", "solo": "b", "judge": "c"}
RecipeSource = str | Mapping[str, Any]


async def run(trio: dict[str, ScriptedEngine], request: GenerateRequest, *recipes: RecipeSource) -> Completion:
    """Answer of the first of `recipes`; checks that no engine is still running afterwards."""
    served = load_recipes(recipes, TEAM)
    orchestrator = Orchestrator(trio, served)
    name = next(iter(served))
    done = await complete(name, orchestrator.engines[name], request)
    assert all(engine.running == 0 for engine in trio.values())
    return done


def outcomes(done: Completion) -> list[tuple[int, str, str]]:
    assert done.report is not None
    return [(trace.layer, trace.role, trace.model) for trace in done.report.agents]


def reasons(done: Completion) -> str:
    assert done.report is not None
    return "\n".join(done.report.reasons)


def shown(engine: ScriptedEngine, call: int = -1) -> str:
    """Text of one prompt of `engine`: all messages."""
    return "\n".join(message.content for message in engine.requests[call].messages)
