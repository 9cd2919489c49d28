"""Helpers that run one recipe over scripted engines."""

from collections.abc import Callable, Mapping
from typing import Any

from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import Completion, GenerateRequest, Report

TEAM: dict[str, str | list[str]] = {"proposers": ["a", "b", "c"], "aggregator": "a", "solo": "b", "judge": "c"}
RecipeSource = str | Mapping[str, Any]
Trio = dict[str, ScriptedEngine]  # the fixture `trio`
Ask = Callable[..., GenerateRequest]  # the fixture `ask`


async def run(trio: Trio, request: GenerateRequest, *recipes: RecipeSource) -> Completion:
    """Answer of the first of `recipes`; checks that no engine is still running afterwards."""
    served = load_recipes(recipes, TEAM)
    orchestrator = Orchestrator(trio, served)
    name = next(iter(served))
    done = await complete(name, orchestrator.engines[name], request)
    assert all(engine.running == 0 for engine in trio.values())
    return done


def report_of(done: Completion) -> Report:
    assert done.report is not None, "an answer of a recipe has a report"
    return done.report


def outcomes(done: Completion) -> list[tuple[int, str, str]]:
    return [(trace.layer, trace.role, trace.model) for trace in report_of(done).agents]


def reasons(done: Completion) -> str:
    return "\n".join(report_of(done).reasons)


def shown(engine: ScriptedEngine, call: int = -1) -> str:
    """Text of one prompt of `engine`: all messages."""
    return "\n".join(message.content for message in engine.requests[call].messages)


def fails_when(engine: ScriptedEngine, *, shown: str, error: Exception | None = None) -> None:
    """Have `engine` fail where its prompt holds `shown`."""
    before = engine.answer

    def answer(request: GenerateRequest) -> str | ScriptedAnswer:
        if any(shown in message.content for message in request.messages):
            raise error or EngineFailed(engine.model, "gone")
        return before(request) if callable(before) else before

    engine.answer = answer
