"""Fixtures for unit tests of the composition."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from serving.api.dialects.chat_requests import moa_options
from serving.cards import ModelCard
from serving.conversation import Message
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes.loading import load_recipes
from serving.types import GenerateRequest, Sampling

Ask = Callable[..., GenerateRequest]
RECIPE = ModelCard("team", "recipe")


@pytest.fixture
def ask() -> Ask:
    """A function that makes a request; `options` are its `moa` object."""

    def make(question: str = "Why?", *, options: Mapping[str, Any] | None = None, **sampling: Any) -> GenerateRequest:
        return GenerateRequest(
            "r1", (Message("user", question),), Sampling(**sampling), moa=moa_options(options or {}, RECIPE)
        )

    return make


@pytest.fixture
def trio() -> dict[str, ScriptedEngine]:
    """Three models that answer with their own name and the number of references in their prompt."""

    def named(name: str) -> ScriptedEngine:
        def answer(request: GenerateRequest) -> str:
            seen = sum(message.content.count("says") for message in request.messages)
            return f"{name} says {seen}"

        return ScriptedEngine(name, answer)

    return {name: named(name) for name in ("a", "b", "c")}


@pytest.fixture
def orchestrate(trio: dict[str, ScriptedEngine]) -> Callable[..., Orchestrator]:
    """A function that makes an orchestrator over the trio with one recipe, "team": two layers by default."""

    def make(**changes: Any) -> Orchestrator:
        recipe = {"id": "team", "layers": [["a", "b", "c"]], "aggregator": "a", "prefill": "off", **changes}
        return Orchestrator(trio, load_recipes([recipe]))

    return make
