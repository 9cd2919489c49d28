"""A scripted server with three models and `moa-lite`, and the benchmark's HTTP session."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from loadtest.bench.client import session
from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes.loading import load_recipes
from serving.types import GenerateRequest
from tests.support.api import running
from tests.support.benchmark import MODELS


def answered_as_long_as_asked(request: GenerateRequest) -> str:
    return " ".join(["word"] * (request.sampling.max_tokens or 1))


@pytest.fixture
def engines() -> dict[str, ScriptedEngine]:
    return {name: ScriptedEngine(name, answered_as_long_as_asked) for name in MODELS}


@pytest.fixture
async def host(engines: dict[str, ScriptedEngine]) -> AsyncIterator[str]:
    recipe = {"id": "moa-lite", "layers": [list(MODELS)], "aggregator": "c", "min_proposals": 2}
    staircase = {"preset": "moa-staircase", "proposers": list(MODELS), "aggregator": "c"}
    orchestrator = Orchestrator(engines, load_recipes([recipe, staircase]))
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    async with running(app) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with session() as opened:
        yield opened
