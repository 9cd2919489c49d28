"""Paths, keys, bodies, ids and what the server says of itself."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.types import ModelCard
from tests.support.api import HELLO, HandEngine, app_of, ask, chat, client_of

M = {"m": ScriptedEngine("m")}


async def get(path: str, **settings: Any) -> httpx.Response:
    async with client_of(app_of(M, **settings)) as client:
        return await client.get(path)


def openai_error(response: httpx.Response) -> tuple[int, str]:
    (error,) = response.json().values()
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers["content-type"] == "application/json"
    return response.status_code, error["code"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/completions", "/v1/models/", "/health/", "/docs"])
async def test_unknown_paths(path: str) -> None:
    assert openai_error(await get(path)) == (404, "model_not_found" if path == "/v1/models/" else "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v1/chat/completions", "POST"), ("POST", "/v1/models", "GET"), ("DELETE", "/v1/models/m", "GET")],
)
async def test_wrong_methods(method: str, path: str, allowed: str) -> None:
    async with client_of(app_of(M)) as client:
        response = await client.request(method, path)
    assert openai_error(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == allowed


async def test_a_root_path_in_front_is_no_part_of_the_route() -> None:
    transport = httpx.ASGITransport(app_of(M), root_path="/moa")
    async with httpx.AsyncClient(transport=transport, base_url="http://server/moa") as client:
        assert (await client.get("/health")).status_code == 200


async def test_models_are_listed_with_their_kind_and_context() -> None:
    app = create_app(
        {"org/m": M["m"], "team": M["m"]},
        [ModelCard("org/m", "model", 8192), ModelCard("team", "recipe", None, "A team.")],
        ApiSettings(),
    )
    async with client_of(app) as client:
        listed = (await client.get("/v1/models")).json()
        single = (await client.get("/v1/models/org/m")).json()
    assert listed["object"] == "list"
    assert single == listed["data"][0]
    assert isinstance(single.pop("created"), int)
    assert single == {
        "id": "org/m",
        "object": "model",
        "owned_by": "moa-serve",
        "kind": "model",
        "max_model_len": 8192,
        "description": "",
    }
    assert [(card["id"], card["kind"], card["max_model_len"]) for card in listed["data"][1:]] == [
        ("team", "recipe", None)
    ]


async def test_an_unknown_model_card() -> None:
    assert openai_error(await get("/v1/models/x")) == (404, "model_not_found")


@pytest.mark.parametrize("cards", [[], [ModelCard("m", "model"), ModelCard("x", "model")]])
def test_every_engine_needs_a_card_and_every_card_an_engine(cards: list[ModelCard]) -> None:
    with pytest.raises(ConfigError, match="both an engine and a model card"):
        create_app(M, cards, ApiSettings())


async def test_alive_is_not_ready() -> None:
    engines = {"m": ScriptedEngine("m"), "sick": ScriptedEngine("sick", healthy=False), "hung": HungHealth()}
    async with client_of(app_of(engines, health_timeout_s=0.02)) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        response = await client.get("/ready")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json()["error"]["code"] == "engine_unavailable"
    assert response.json()["failing"] == {
        "sick": "'sick' is not available: scripted to be unhealthy.",
        "hung": "'hung' did not answer within 0.02 s.",
    }


class HungHealth(HandEngine):
    async def check_health(self) -> None:
        await asyncio.Event().wait()


class CountingHealth(HandEngine):
    def __init__(self) -> None:
        super().__init__()
        self.checks = 0
        self.error: Exception | None = None

    async def check_health(self) -> None:
        self.checks += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def test_ready_when_all_engines_answer() -> None:
    response = await get("/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "engines": ["m"]})


@pytest.mark.parametrize(("cache_s", "checks"), [(60, 1), (0, 2)])
async def test_probes_share_one_check(cache_s: float, checks: int) -> None:
    engine = CountingHealth()
    async with client_of(app_of({"m": engine}, health_cache_s=cache_s)) as client:
        await asyncio.gather(*(client.get("/ready") for _ in range(5)))
        await client.get("/ready")
    assert engine.checks == checks


async def test_a_health_check_that_breaks_is_a_failing_engine_and_tells_nothing() -> None:
    engine = CountingHealth()
    engine.error = RuntimeError("password=hunter2")
    async with client_of(app_of({"m": engine})) as client:
        response = await client.get("/ready")
    assert response.status_code == 503
    assert "hunter2" not in response.text


async def test_versions() -> None:
    versions = (await get("/version", versions={"vllm": "0.29.0"})).json()
    assert versions["vllm"] == "0.29.0"
    assert re.match(r"3\.\d+", versions["python"])
    assert "version" in versions


KEYS = (SecretStr("first"), SecretStr("sécond"))


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
        ("Bearer sécond", 200),
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
        assert openai_error(asked) == (401, "invalid_api_key")
        assert asked.headers["www-authenticate"] == "Bearer"


async def test_one_key_or_none() -> None:
    assert (await get("/v1/models", api_key=SecretStr("k"))).status_code == 401
    assert (await get("/v1/models")).status_code == 200


@pytest.mark.parametrize("key", [SecretStr(""), SecretStr("  "), (), (SecretStr("a"), SecretStr(""))])
def test_an_empty_key_is_refused_because_it_would_let_everyone_in(key: Any) -> None:
    with pytest.raises(ValidationError, match="let everyone in"):
        ApiSettings(api_key=key)
    with pytest.raises(ValueError, match="let everyone in"):
        app_of(M) and create_app(M, [ModelCard("m", "model")], ApiSettings().model_copy(update={"api_key": key}))


def test_keys_do_not_show() -> None:
    assert "sécond" not in repr(ApiSettings(api_key=KEYS)) + ApiSettings(api_key=KEYS).model_dump_json()


@pytest.mark.parametrize("settings", [{"x": 1}, {"max_in_flight": 0}, {"keep_alive_s": 0}])
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(**settings)


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2:3_x", True), ("a" * 128, True), ("a" * 129, False), ("a b", False)]
)
async def test_a_request_id_comes_back_if_it_is_a_plain_one(given: str, kept: bool) -> None:
    async with client_of(app_of(M), **{"x-request-id": given}) as client:
        for response in (
            await client.post("/v1/chat/completions", json=chat()),
            await client.post("/v1/chat/completions", json=chat(stream=True)),
            await client.get("/nowhere"),
        ):
            assert (response.headers["x-request-id"] == given) is kept
            assert re.fullmatch(r"[\w.:-]{1,128}", response.headers["x-request-id"])


async def test_a_request_id_is_not_sent_twice_where_a_server_in_front_sends_it() -> None:
    assert "x-request-id" in (await get("/health")).headers
    assert "x-request-id" not in (await get("/health", echo_request_id=False)).headers


async def test_work_below_never_has_the_callers_id() -> None:
    engine = ScriptedEngine("m")
    async with client_of(app_of({"m": engine}), **{"x-request-id": "same"}) as client:
        for _ in range(2):
            await client.post("/v1/chat/completions", json=chat())
    assert len({"same", *(request.request_id for request in engine.requests)}) == 3


async def post(body: Any, headers: dict[str, str] | None = None, **settings: Any) -> httpx.Response:
    async with client_of(app_of(M, **settings)) as client:
        return await client.post("/v1/chat/completions", content=body, headers=headers)


GOOD = json.dumps(chat()).encode()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "Application/JSON; charset=utf-8"},
        {"content-encoding": "identity"},
    ],
)
async def test_bodies_that_are_json(headers: dict[str, str]) -> None:
    assert (await post(GOOD, headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-encoding": "gzip"},
    ],
)
async def test_bodies_that_are_something_else(headers: dict[str, str]) -> None:
    response = await post(GOOD, headers)
    assert openai_error(response) == (415, "unsupported_media_type")
    assert next(iter(headers.values())) in response.json()["error"]["message"]


async def test_a_body_that_is_no_json() -> None:
    assert openai_error(await post(b'{"model": ')) == (400, "invalid_request")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(("size", "status"), [(2048, 200), (2049, 413)])
async def test_a_body_is_measured_announced_or_not(announced: bool, size: int, status: int) -> None:
    body = GOOD + b" " * (size - len(GOOD))

    async def streamed() -> AsyncIterator[bytes]:
        for start in range(0, size, 100):
            yield body[start : start + 100]

    response = await post(body if announced else streamed(), max_body_bytes=2048)
    assert response.status_code == status
    if status == 413:
        assert openai_error(response) == (413, "body_too_large")
        assert response.headers["connection"] == "close"
        assert "2048 bytes" in response.text


async def test_too_large_a_body_that_is_announced_is_not_read() -> None:
    sent = await drive(app_of(M, max_body_bytes=1024), headers=[(b"content-length", b"1025")])
    assert sent[0]["status"] == 413


async def test_a_body_that_never_ends_is_given_up() -> None:
    sent = await drive(app_of(M, body_timeout_s=0.01))
    assert sent[0]["status"] == 408


async def test_bodies_on_their_way_are_bounded_over_all_connections() -> None:
    app = app_of(M, max_body_bytes=1024, max_reading_bytes=2048, max_in_flight=2)
    part = {"type": "http.request", "body": b" " * 1000, "more_body": True}
    waiting = [asyncio.create_task(drive(app, part)) for _ in range(2)]
    await asyncio.sleep(0)
    (start, body) = await drive(app, part)
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (429, b"1")
    assert json.loads(body["body"])["error"]["code"] == "overloaded"
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert (await ask(app)).status_code == 200


def test_the_largest_body_can_always_be_read() -> None:
    with pytest.raises(ValidationError, match="max_reading_bytes must be at least max_body_bytes"):
        ApiSettings(max_reading_bytes=2**20)


async def test_a_caller_that_hangs_up_while_sending_is_not_answered() -> None:
    assert await drive(app_of(M), {"type": "http.disconnect"}) == []


async def test_a_caller_that_stops_reading_loses_its_place_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.api.chat.SLOW_READER_S", 0.01)
    app = app_of(M, deadline_s=0.01, max_in_flight=1)
    asked = {"type": "http.request", "body": json.dumps(chat(stream=True)).encode()}
    sent = await drive(app, asked, reads=1)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert (await ask(app)).status_code == 200


async def drive(
    app: Any, *messages: dict[str, Any], headers: list[tuple[bytes, bytes]] | None = None, reads: int = 1000
) -> list[Any]:
    """What `app` sends when it receives `messages` and then nothing more, to a caller that reads `reads` times."""
    waiting, sent = list(messages), []

    async def receive() -> Any:
        return waiting.pop(0) if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if len(sent) == reads:
            await asyncio.Event().wait()
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers or []}
    await app(scope, receive, send)
    return sent


async def test_a_head_request_is_answered_like_a_get() -> None:
    async with client_of(app_of(M)) as client:
        assert (await client.head("/health")).status_code == 200


async def test_a_websocket_is_closed_and_the_lifespan_is_lived() -> None:
    async def spoken(kind: str, *received: str) -> list[str]:
        waiting, sent = [{"type": name} for name in received], []

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app_of(M)({"type": kind}, receive, send)
        return sent

    assert await spoken("websocket", "websocket.connect") == ["websocket.close"]
    assert await spoken("lifespan", "lifespan.startup", "lifespan.shutdown") == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_messages_beyond_the_limit() -> None:
    response = await ask(app_of(M, max_messages=2), messages=HELLO * 3)
    assert openai_error(response) == (400, "invalid_request")
