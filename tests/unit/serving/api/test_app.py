"""Routes, API keys, and the refusals that are reported to the observer."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from serving.api import ApiSettings, create_app
from serving.api.exchange import Api
from serving.api.recorder import Recorder
from serving.api.routers.chat import CHAT
from serving.cards import ModelCard
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError, EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.telemetry import Observer, RequestEnd
from tests.support.api import END, HandEngine, app_of, chat, client_of, drive, get, status_and_code
from tests.support.clock import simulated_time

M = {"m": ScriptedEngine("m")}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/engines", "/health/", "/nowhere"])
async def test_unknown_paths(path: str) -> None:
    response = await get(app_of(M), path)
    assert status_and_code(response) == (404, "not_found")
    message = response.json()["error"]["message"]
    assert f"The path '{path}' does not exist; the API is under /v1" in message
    assert "the console is /console" in message


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST, OPTIONS"),
        ("HEAD", "/v1/chat/completions", "POST, OPTIONS"),
        ("POST", "/v1/models", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/models/m", "GET, HEAD, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_wrong_methods(method: str, path: str, allowed: str) -> None:
    async with client_of(app_of(M)) as client:
        response = await client.request(method, path)
        options = await client.options(path)
    assert response.status_code == 405
    assert response.headers["allow"] == options.headers["allow"] == allowed
    assert (options.status_code, options.content) == (204, b"")
    if method != "HEAD":
        assert status_and_code(response) == (405, "method_not_allowed")
        assert f"Use {allowed.split(',')[0]} for '{path}'." == response.json()["error"]["message"]


@pytest.mark.parametrize(("path", "status"), [("/v1/messages", 405), ("/v1/messages/batches", 404)])
async def test_errors_of_a_dialects_paths_have_its_shape_before_any_route(path: str, status: int) -> None:
    response = await get(app_of(M), path)
    assert (response.status_code, response.json()["type"]) == (status, "error")
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_a_path_that_only_begins_alike_is_no_path_of_the_dialect() -> None:
    assert "type" not in (await get(app_of(M), "/v1/messagesX")).json()


async def test_a_slash_behind_models_lists_them() -> None:
    assert (await get(app_of(M), "/v1/models/")).json() == (await get(app_of(M), "/v1/models")).json()


@pytest.mark.parametrize("cards", [[], [ModelCard("m", "model"), ModelCard("x", "model")]])
def test_every_engine_needs_a_card_and_every_card_an_engine(cards: list[ModelCard]) -> None:
    with pytest.raises(ConfigError, match="both an engine and a model card"):
        create_app(M, cards, ApiSettings())


KEYS = (SecretStr("first"), SecretStr("second"))


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Bearer wrong", 401),
        ("Basic first", 401),
        ("first", 401),
        ("Bearer first", 200),
        ("bearer  first ", 200),
        ("Bearer first, Bearer first", 401),
        ("Bearer first,second", 401),
        ("Bearer second", 200),
    ],
)
async def test_v1_is_behind_the_keys(header: str | None, status: int) -> None:
    headers = {} if header is None else {"authorization": header.encode()}
    async with client_of(app_of(M, api_key=KEYS)) as client:
        for path in ("/v1/models", "/v1/models/m", "/v1/nowhere"):
            response = await client.get(path, headers=headers)
            assert (response.status_code == 401) == (status == 401)
        assert response.status_code == (404 if status == 200 else 401)
        asked = await client.post("/v1/chat/completions", json=chat(), headers=headers)
        assert asked.status_code == status
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).status_code == 200
    if status == 401:
        assert status_and_code(asked) == (401, "invalid_api_key")
        assert asked.headers["www-authenticate"] == "Bearer"


async def test_the_key_in_the_header_of_anthropics_clients() -> None:
    for key, status in (("first", 200), ("second", 200), ("wrong", 401), ("", 401)):
        async with client_of(app_of(M, api_key=KEYS)) as client:
            response = await client.get("/v1/models", headers={b"x-api-key": key.encode()})
        assert response.status_code == status


async def test_a_body_is_not_read_before_the_key_is_checked() -> None:
    never: Any = {"type": "http.request", "body": b"{", "more_body": True}
    sent = await drive(app_of(M, api_key=KEYS), never)
    assert sent[0]["status"] == 401


async def test_one_key_or_none() -> None:
    assert (await get(app_of(M, api_key=SecretStr("k")), "/v1/models")).status_code == 401
    assert (await get(app_of(M), "/v1/models")).status_code == 200


async def test_a_head_request_is_answered_like_a_get() -> None:
    async with client_of(app_of(M)) as client:
        head, get_ = await client.head("/health"), await client.get("/health")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get_.headers["content-length"]


async def test_a_websocket_is_closed_and_the_lifespan_is_lived() -> None:
    async def spoken(kind: str, *received: str, **scope: Any) -> list[str]:
        waiting, sent = [{"type": name} for name in received], []

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app_of(M)({"type": kind, **scope}, receive, send)
        return sent

    assert await spoken("websocket", "websocket.connect") == ["websocket.close"]
    able = {"websocket.http.response": {}}
    assert await spoken("websocket", "websocket.connect", extensions=able) == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert await spoken("lifespan", "lifespan.startup", "lifespan.shutdown") == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


class Part:
    """A part of the server that the lifespan starts and closes; one of its methods may fail."""

    def __init__(self, name: str, log: list[str], failing: str) -> None:
        self._name, self._log, self._failing = name, log, failing

    def _did(self, what: str) -> None:
        self._log.append(f"{self._name} {what}")
        if f"{self._name} {what}" == self._failing:
            raise OSError("scripted")

    async def close(self) -> None:
        self._did("close")


class Started(Part):
    async def start(self) -> None:
        self._did("start")


class Grading(Part):
    def start(self) -> None:
        self._did("start")


@pytest.mark.parametrize("failing", ["store start", "keys start", "quality start", "quality close", "limiter close"])
async def test_what_was_started_is_closed_if_a_later_part_fails(failing: str) -> None:
    log: list[str] = []
    app = app_of(M)
    server = app.state.server
    app.state.server = replace(
        server,
        store=Started("store", log, failing),
        stored_keys=Started("keys", log, failing),
        limiter=Part("limiter", log, failing),
        recorder=Recorder({}, Observer(), sampler=Grading("quality", log, failing)),
    )
    with pytest.raises(OSError, match="scripted"):
        async with app.router.lifespan_context(app):
            log.append("running")
    assert ("running" in log) == failing.endswith("close")
    started = [entry.split()[0] for entry in log if entry.endswith("start")]
    closed = [entry.split()[0] for entry in log if entry.endswith("close")]
    assert [name for name in closed if name != "limiter"] == started[::-1]


# -- the observer ------------------------------------------------------------------------------------------


class RecordingObserver(Observer):
    def __init__(self) -> None:
        self.refused: list[str] = []
        self.ended: list[str] = []

    def request_refused(self, code: str) -> None:
        self.refused.append(code)

    def request_ended(self, end: RequestEnd) -> None:
        self.ended.append(end.outcome)


def observed(engine: Any, **settings: Any) -> tuple[Api, RecordingObserver]:
    observer = RecordingObserver()
    orchestrator = Orchestrator({"m": engine}, {}, observer=observer)
    return create_app(
        orchestrator.engines, [ModelCard("m", "model", 4096)], ApiSettings(**settings), observer
    ), observer


async def post(app: Api, *, headers: dict[str, str] | None = None, **request: Any) -> httpx.Response:
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
    app, observer = observed(ScriptedEngine("m"), api_key="key", max_body_bytes=1024)
    given = request_.pop("headers", {})
    key = {"authorization": "Bearer key"} if headers is None else headers
    response = await post(app, headers={**key, **given}, **request_)
    assert response.json()["error"]["code"] == code
    assert (observer.refused, observer.ended) == ([code], [])


async def test_what_admission_turns_away_is_told() -> None:
    engine = HandEngine()
    app, observer = observed(engine, max_in_flight=1)
    first = asyncio.create_task(post(app, json=chat()))
    await engine.asked.wait()
    assert (await post(app, json=chat())).status_code == 429
    assert observer.refused == ["overloaded"]
    engine.give(END, None)
    assert (await first).status_code == 200
    assert (observer.refused, observer.ended) == (["overloaded"], ["ok"])


@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_engine_was_asked_is_its_own_to_tell(stream: bool) -> None:
    app, observer = observed(ScriptedEngine("m", error=EngineFailed("m", "broke")))
    await post(app, json=chat(stream=stream))
    assert (observer.refused, observer.ended) == ([], ["engine_failed"])


async def test_other_paths_are_no_chat_requests() -> None:
    app, observer = observed(ScriptedEngine("m"), api_key="key")
    async with client_of(app) as client:
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.get("/nowhere")).status_code == 404
    assert observer.refused == []


async def test_a_defect_before_the_engine_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    app, observer = observed(ScriptedEngine("m"))
    monkeypatch.setattr("serving.api.routers.chat.to_request", lambda *_: 1 / 0)
    assert (await post(app, json=chat())).status_code == 500
    assert observer.refused == ["internal_error"]


@pytest.mark.parametrize("stream", [False, True])
@simulated_time
async def test_a_deadline_is_told_as_one_and_not_as_a_caller_who_left(stream: bool) -> None:
    observer = RecordingObserver()
    engine = ScriptedEngine("m", hang=True)
    recipes = load_recipes([{"id": "team", "layers": [["m"]], "aggregator": "m"}])
    engines = Orchestrator({"m": engine}, recipes, observer=observer).engines
    cards = [ModelCard("m", "model"), ModelCard("team", "recipe")]
    app = create_app(engines, cards, ApiSettings(deadline_s=0.2), observer)
    response = await post(app, json=chat("team", stream=stream))
    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert "within its deadline of 0.2 s" in response.json()["error"]["message"]
    assert (observer.refused, observer.ended) == ([], ["deadline_exceeded"])
    assert engine.running == 0
