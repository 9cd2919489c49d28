"""Chat requests that no engine hears of are told to the observer, by code alone; all others are not."""

import asyncio
from typing import Any

import httpx
import pytest

from serving.api import ApiSettings, create_app
from serving.api.app import App
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.telemetry import Observer, RequestEnd
from serving.types import ModelCard
from tests.support.api import END, HandEngine, chat, client_of

CHAT = "/v1/chat/completions"


class Watching(Observer):
    def __init__(self) -> None:
        self.refused: list[str] = []
        self.ended: list[str] = []

    def request_refused(self, code: str) -> None:
        self.refused.append(code)

    def request_ended(self, end: RequestEnd) -> None:
        self.ended.append(end.outcome)


def watched(engine: Any, **settings: Any) -> tuple[App, Watching]:
    seen = Watching()
    orchestrator = Orchestrator({"m": engine}, {}, observer=seen)
    return create_app(orchestrator.engines, [ModelCard("m", "model", 4096)], ApiSettings(**settings), seen), seen


async def post(app: App, *, headers: dict[str, str] | None = None, **request: Any) -> httpx.Response:
    async with client_of(app, **(headers or {})) as client:
        return await client.post(CHAT, **request)


@pytest.mark.parametrize(
    ("request_", "headers", "code"),
    [
        ({"json": chat()}, {"authorization": "Bearer wrong"}, "invalid_api_key"),
        ({"json": chat()}, {}, "invalid_api_key"),
        ({"content": b"{"}, None, "invalid_request"),
        ({"json": chat(n=0)}, None, "invalid_request"),
        ({"json": chat(my_secret_field=1)}, None, "unsupported_field"),
        ({"json": chat(model="my secret")}, None, "model_not_found"),
        ({"content": b" " * 2000}, None, "body_too_large"),
        ({"content": b"a=b", "headers": {"content-type": "text/plain"}}, None, "unsupported_media_type"),
    ],
)
async def test_a_refusal_is_told_once_by_its_code(
    request_: dict[str, Any], headers: dict[str, str] | None, code: str
) -> None:
    app, seen = watched(ScriptedEngine("m"), api_key="key", max_body_bytes=1024)
    given = request_.pop("headers", {})
    key = {"authorization": "Bearer key"} if headers is None else headers
    response = await post(app, headers={**key, **given}, **request_)
    assert response.json()["error"]["code"] == code
    assert (seen.refused, seen.ended) == ([code], [])


async def test_what_admission_turns_away_is_told() -> None:
    engine = HandEngine()
    app, seen = watched(engine, max_in_flight=1)
    first = asyncio.create_task(post(app, json=chat()))
    await engine.asked.wait()
    assert (await post(app, json=chat())).status_code == 429
    assert seen.refused == ["overloaded"]
    engine.give(END, None)
    assert (await first).status_code == 200
    assert (seen.refused, seen.ended) == (["overloaded"], ["ok"])


@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_engine_was_asked_is_its_own_to_tell(stream: bool) -> None:
    app, seen = watched(ScriptedEngine("m", error=EngineFailed("m", "broke")))
    await post(app, json=chat(stream=stream))
    assert (seen.refused, seen.ended) == ([], ["engine_failed"])


async def test_other_paths_are_no_chat_requests() -> None:
    app, seen = watched(ScriptedEngine("m"), api_key="key")
    async with client_of(app) as client:
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.get("/nowhere")).status_code == 404
    assert seen.refused == []


async def test_a_defect_before_the_engine_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    app, seen = watched(ScriptedEngine("m"))
    monkeypatch.setattr("serving.api.chat.to_request", lambda *_: 1 / 0)
    assert (await post(app, json=chat())).status_code == 500
    assert seen.refused == ["internal_error"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_is_told_as_one_and_not_as_a_caller_who_left(stream: bool) -> None:
    seen = Watching()
    engine = ScriptedEngine("m", hang=True)
    recipes = load_recipes([{"id": "team", "layers": [["m"]], "aggregator": "m"}])
    engines = Orchestrator({"m": engine}, recipes, observer=seen).engines
    cards = [ModelCard("m", "model"), ModelCard("team", "recipe")]
    app = create_app(engines, cards, ApiSettings(deadline_s=0.2), seen)
    response = await post(app, json=chat("team", stream=stream))
    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert "within its deadline of 0.2 s" in response.json()["error"]["message"]
    assert (seen.refused, seen.ended) == ([], ["deadline_exceeded"])
    assert engine.running == 0
