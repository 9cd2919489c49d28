"""Tools of types that this server does not have: refused, or left out if the operator says so, and then named."""

import json
import logging
from typing import Any

import pytest

from serving.api.dialects.messages_requests import messages_request, parse_messages
from serving.api.dialects.responses_requests import parse_responses, responses_request
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engine import EngineInfo
from serving.engines.scripted import ScriptedEngine
from serving.errors import InvalidRequest, UnsupportedField
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest
from tests.support.api import app_of, client_of
from tests.support.recipes import TEAM

CARD, INFO = ModelCard("m", "model"), EngineInfo(tools=True)
REFUSE, OMIT = ApiSettings(), ApiSettings(unsupported_tools="omit")
OF_CODEX: list[dict[str, Any]] = [
    {"type": "web_search", "external_web_access": True},
    {"type": "image_generation", "output_format": "png"},
    {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
    {"type": "web_search_preview_2025_03_11"},
]
OF_CLAUDE: list[dict[str, Any]] = [
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
    {"type": "web_fetch_20260209", "name": "web_fetch"},
    {"type": "bash_20250124", "name": "bash"},
]
FUNCTION = {"type": "function", "name": "shell", "parameters": {"type": "object"}}
CUSTOM = {"name": "Bash", "input_schema": {"type": "object"}}


def responses(settings: ApiSettings, *tools: dict[str, Any], **fields: Any) -> tuple[GenerateRequest, tuple[str, ...]]:
    body = parse_responses(json.dumps({"model": "m", "input": "hi", "tools": tools, **fields}).encode(), settings)
    return responses_request(body, CARD, INFO, settings, "r"), body.omitted


def messages(settings: ApiSettings, *tools: dict[str, Any], **fields: Any) -> tuple[GenerateRequest, tuple[str, ...]]:
    asked = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "tools": tools, **fields}
    body = parse_messages(json.dumps(asked).encode(), settings)
    return messages_request(body, CARD, INFO, settings, "r"), body.omitted


@pytest.mark.parametrize("tool", OF_CODEX, ids=lambda tool: tool["type"])
def test_a_tool_of_the_responses_api_is_refused_or_left_out(tool: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedField) as caught:
        responses(REFUSE, FUNCTION, tool)
    assert caught.value.param == "tools[1].type"
    asked, omitted = responses(OMIT, tool, FUNCTION)
    assert [one.name for one in asked.tools] == ["shell"]
    assert omitted == (f"tools[0] was left out: this server has no tools of the type '{tool['type']}'",)


@pytest.mark.parametrize("tool", OF_CLAUDE, ids=lambda tool: tool["type"])
def test_a_tool_of_the_messages_api_is_refused_or_left_out(tool: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedField) as caught:
        messages(REFUSE, tool)
    assert caught.value.param == "tools[0].type"
    asked, omitted = messages(OMIT, CUSTOM, tool)
    assert [one.name for one in asked.tools] == ["Bash"]
    assert omitted == (f"tools[1] was left out: this server has no tools of the type '{tool['type']}'",)


@pytest.mark.parametrize("ask", [responses, messages])
def test_a_type_that_nobody_knows_is_refused_in_any_case(ask: Any) -> None:
    with pytest.raises(UnsupportedField) as caught:
        ask(OMIT, {"type": "function_2", "name": "f"})
    assert caught.value.param == "tools[0].type"


@pytest.mark.parametrize(
    ("ask", "choice"),
    [(responses, "required"), (messages, {"type": "any"}), (messages, {"type": "tool", "name": "web_search"})],
)
def test_a_tool_that_was_left_out_cannot_be_demanded(ask: Any, choice: Any) -> None:
    tool = OF_CODEX[0] if ask is responses else OF_CLAUDE[0]
    with pytest.raises(InvalidRequest) as caught:
        ask(OMIT, tool, tool_choice=choice)
    assert (caught.value.param or "").startswith("tool_choice")


@pytest.mark.parametrize("trace", [True, False])
async def test_the_answer_and_the_log_name_what_was_left_out(trace: bool, caplog: pytest.LogCaptureFixture) -> None:
    app = app_of({"m": ScriptedEngine("m", "Hello", tools=True)}, unsupported_tools="omit")
    whole = {"model": "m", "moa": {"trace": trace}}
    bodies = {
        "/v1/responses": {**whole, "input": "hi", "tools": [OF_CODEX[0], FUNCTION]},
        "/v1/messages": {
            **whole,
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [OF_CLAUDE[0]],
        },
    }
    async with client_of(app) as client:
        for path, body in bodies.items():
            caplog.clear()
            kind = body["tools"][0]["type"]  # type: ignore[index]
            why = f"tools[0] was left out: this server has no tools of the type '{kind}'"
            with caplog.at_level(logging.INFO, "serving.api"):
                answer = (await client.post(path, json=body)).json()
            assert (answer["moa"]["degraded"], answer["moa"]["reasons"]) == (False, [why])
            assert why in caplog.text
            streamed = (await client.post(path, json={**body, "stream": True})).text
            assert why in streamed
        echoed = (await client.post("/v1/responses", json=bodies["/v1/responses"])).json()["tools"]
        assert [tool["name"] for tool in echoed] == ["shell"]


async def test_the_reasons_of_a_recipe_come_first() -> None:
    engines = {name: ScriptedEngine(name, name, tools=name == "a") for name in "abc"}
    engines["b"].hang = True
    recipes = load_recipes([{"id": "team", "layers": [["b", "c"]], "aggregator": "a", "min_proposals": 1}], TEAM)
    orchestrator = Orchestrator(engines, recipes)
    app = app_of({"team": orchestrator.engines["team"]}, recipes=("team",), unsupported_tools="omit")
    async with client_of(app) as client:
        body = {"model": "team", "input": "hi", "tools": [OF_CODEX[0]], "moa": {"straggler_grace_s": 0.01}}
        moa = (await client.post("/v1/responses", json=body)).json()["moa"]
    assert moa["recipe"] == "team"
    assert moa["reasons"][-1].startswith("tools[0] was left out")
    assert len(moa["reasons"]) > 1
