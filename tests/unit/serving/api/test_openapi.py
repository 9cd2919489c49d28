"""The description at `/openapi.json`, held by schemathesis against what the server accepts and answers."""

from typing import Any

import schemathesis
from hypothesis import settings
from schemathesis.config import SchemathesisConfig

from serving.engines.model import ModelEngine
from serving.engines.scripted import ScriptedEngine
from serving.runtime.single_flight import SingleFlight
from tests.support.api import app_of

CONFIG = SchemathesisConfig.from_dict({"generation": {"max-examples": 25, "database": "none"}})


def scripted(name: str) -> ModelEngine:
    return ModelEngine(name, ScriptedEngine(name, "Hello to you", tools=True, thinking=True), SingleFlight())


ENGINES = {name: scripted(name) for name in ("m", "org/other")}
APP = app_of(ENGINES, api_key="key", max_choices=4, max_messages=8)
API = schemathesis.openapi.from_asgi("/openapi.json", APP, config=CONFIG)


@API.parametrize()
@settings(deadline=None, derandomize=True)
def test_what_is_described_is_what_happens(case: schemathesis.Case) -> None:
    if case.meta is not None and case.meta.generation.mode.is_positive and isinstance(case.body, dict):
        settle(case.body)
    case.call_and_validate(headers={"Authorization": "Bearer key"})


def settle(body: dict[str, Any]) -> None:
    """Make fields fit together that a JSON schema cannot relate to each other."""
    if not body.get("stream"):
        body.pop("stream_options", None)
    if not body.get("logprobs"):
        body.pop("top_logprobs", None)
    if body.get("max_completion_tokens") is not None:
        body.pop("max_tokens", None)
    if body.get("max_tokens") is not None or body.get("max_completion_tokens") is not None:
        body.pop("min_tokens", None)
    if body.get("tools"):
        body["tools"] = list({tool["function"]["name"]: tool for tool in body["tools"]}.values())
    body.pop("tool_choice", None)
    if body.get("moa"):
        body["moa"] = {"trace": body["moa"].get("trace")}  # the others belong to recipes, each to its own
    messages = [message for message in body["messages"] if message["role"] != "tool"]
    body["messages"] = messages or [{"role": "user", "content": ""}]
