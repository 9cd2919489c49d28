"""Request bodies, request ids and disconnects, through the application."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from tests.support.api import app_of, ask, chat, client_of, drive, get, status_and_code
from tests.support.pooling import pooling_app

M = {"m": ScriptedEngine("m")}


async def test_a_root_path_in_front_is_no_part_of_the_route() -> None:
    transport = httpx.ASGITransport(app_of(M), root_path="/moa")
    async with httpx.AsyncClient(transport=transport, base_url="http://server/moa") as client:
        assert (await client.get("/health")).status_code == 200


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
    assert "x-request-id" in (await get(app_of(M), "/health")).headers
    assert "x-request-id" not in (await get(app_of(M, echo_request_id=False), "/health")).headers


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
    assert status_and_code(response) == (415, "unsupported_media_type")
    assert next(iter(headers.values())) in response.json()["error"]["message"]


async def test_a_body_that_is_no_json() -> None:
    assert status_and_code(await post(b'{"model": ')) == (400, "invalid_request")


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
        assert status_and_code(response) == (413, "body_too_large")
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


async def test_a_caller_that_hangs_up_while_sending_is_not_answered() -> None:
    assert await drive(app_of(M), {"type": "http.disconnect"}) == []


NOW_S = 1_800_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands still."""
    monkeypatch.setattr(time, "time", lambda: NOW_S)


def received(seconds_ago: float) -> dict[str, str]:
    """Headers of a request that HAProxy received before."""
    return {"x-moa-received-ms": str(int((NOW_S - seconds_ago) * 1000))}


async def deadlines(headers: dict[str, str], **settings: Any) -> list[float | None]:
    """Deadlines of the requests that the engine got in each dialect."""
    engine = ScriptedEngine("m")
    bodies = {
        "/v1/chat/completions": chat(),
        "/v1/completions": {"model": "m", "prompt": ["x", "y"]},
        "/v1/responses": {"model": "m", "input": "x"},
        "/v1/messages": {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
    }
    async with client_of(app_of({"m": engine}, **settings), **headers) as client:
        for path, body in bodies.items():
            assert (await client.post(path, json=body)).status_code == 200
    return [request.deadline_s for request in engine.requests]


@pytest.mark.usefixtures("clock")
async def test_the_deadline_of_a_repeated_request_began_with_the_first_time() -> None:
    found = await deadlines(received(200), deadline_s=500)
    assert found == [300] * 5


@pytest.mark.usefixtures("clock")
async def test_the_deadline_of_a_repeated_request_for_vectors_or_ranks_began_with_the_first_time() -> None:
    engines = {"e": ScriptedPoolingEngine("e"), "r": ScriptedPoolingEngine("r", "rerank")}
    async with client_of(pooling_app(engines, deadline_s=500), **received(200)) as client:
        await client.post("/v1/embeddings", json={"model": "e", "input": "x"})
        await client.post("/v1/rerank", json={"model": "r", "query": "q", "documents": ["d"]})
    assert [request.deadline_s for engine in engines.values() for request in engine.requests] == [300, 300]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        received(0.5),  # no repetition
        received(-100),  # the clocks of two nodes differ
        received(1000),  # beyond the deadline the first one had answered
        {"x-moa-received-ms": "soon"},
        {"x-moa-received-ms": "-5"},
        {"x-moa-received-ms": "9" * 400},
    ],
)
async def test_another_request_has_all_of_its_deadline(headers: dict[str, str]) -> None:
    assert set(await deadlines(headers, deadline_s=500)) == {500}


@pytest.mark.usefixtures("clock")
async def test_the_api_ends_a_repeated_request_at_its_deadline() -> None:
    engine = ScriptedEngine("m", "late", ttft_s=3600)
    async with client_of(app_of({"m": engine}, deadline_s=3600), **received(3599.9)) as client:
        response = await client.post("/v1/chat/completions", json=chat())
    assert status_and_code(response) == (504, "deadline_exceeded")
