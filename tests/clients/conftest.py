"""A server over real HTTP, with scripted models that call a calculator: for tests with real clients."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest
from tests.support.api import running
from tests.support.loops import caller

TEAM = {"proposers": ["a", "b", "c"], "aggregator": "a", "solo": "a", "judge": "a"}
QUESTION, ANSWER = "What is 3817 * 246?", "938982"


@dataclass(frozen=True)
class World:
    """A running server and its models: "a", "b" and "c", which think and call tools; "moa-lite" has all three."""

    url: str  # with /v1
    models: dict[str, ScriptedEngine]

    def counts(self) -> dict[str, int]:
        """Requests that each model has received."""
        return {name: len(model.requests) for name, model in self.models.items()}

    def check_loop(self, model: str, *, reasoning: str | None) -> None:
        """Check what the models received in one loop of two requests to `model`; `reasoning` was sent back."""
        if model == "moa-lite":
            assert self.counts() == {"a": 3, "b": 1, "c": 1}  # each proposer once, the final agent twice
            proposals = [self.models[name].requests[0] for name in "abc"]
            for proposal in proposals:
                assert (proposal.tools, [message.role for message in proposal.messages][-1:]) == ((), ["user"])
        else:
            assert self.counts() == {"a": 2, "b": 0, "c": 0}
        first, second = self.models["a"].requests[-2:]
        _check_final(first, second, reasoning)
        if model == "moa-lite":
            assert "I would use a calculator." in "".join(message.content for message in first.messages)


def _check_final(first: GenerateRequest, second: GenerateRequest, reasoning: str | None) -> None:
    """The second prompt is the first one, then the call and its result."""
    assert [tool.name for tool in first.tools] == [tool.name for tool in second.tools] == ["compute"]
    assert second.messages[: len(first.messages)] == first.messages
    call, result = second.messages[len(first.messages) :]
    assert (call.role, result.role, result.content) == ("assistant", "tool", ANSWER)
    (made,) = call.tool_calls
    assert (made.name, json.loads(made.arguments)) == ("compute", {"expression": "3817 * 246"})  # rewritten by clients
    assert result.tool_call_id == made.id
    assert call.reasoning == reasoning


@pytest.fixture
async def world() -> AsyncIterator[World]:
    models = {name: caller(name) for name in TEAM["proposers"]}
    orchestrator = Orchestrator(models, load_recipes(["moa-lite"], TEAM))
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    async with running(app) as url:
        yield World(f"{url}/v1", models)
