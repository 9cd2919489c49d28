"""Classes of authentication bypass that vLLM and LiteLLM had: no request without a key reaches an engine.

CVE-2026-48746 (vLLM) and CVE-2026-49468 (LiteLLM): the check read a path that a crafted Host header changes, and the
router another. CVE-2026-42208 (LiteLLM): the key went into a query as text. CVE-2025-59425 (vLLM): the time of the
comparison told how much of a key was right.
"""

import asyncio
import hmac
from typing import Any

import pytest
from starlette.types import ASGIApp

from serving.api import keys
from serving.engines.scripted import ScriptedEngine
from tests.support.api import app_of, chat, client_of, drive, running

KEY = "the-right-key"
ENGINE = ScriptedEngine("m", "an answer")
PATHS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens"),
    *("/v1/models", "/v1/models/m", "/v1/embeddings", "/v1/rerank", "/tokenize", "/detokenize"),
)


def app() -> ASGIApp:
    return app_of({"m": ENGINE}, api_key=KEY)


@pytest.fixture(autouse=True)
def nothing_asked() -> Any:
    ENGINE.requests.clear()
    yield
    assert ENGINE.requests == []


async def status_of(target: str, host: str) -> int:
    """Status of a request without a key on a socket, whose target and host are sent as they are."""
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    head = f"POST {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    async with running(app()) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "host",
    [
        "x/v1/models?",
        "x/health?",
        "x/health#",
        "localhost/docs",
        "x\\health",
        "[::1]/health",
        "health",
        "",
        "user:password@x/health",
        "x/../health?",
        "x%2Fhealth",
    ],
)
async def test_a_host_header_that_holds_a_path_opens_nothing(host: str) -> None:
    assert await status_of("/v1/chat/completions", host) in (400, 401)


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/../v1/chat/completions",
        "/health/../v1/chat/completions",
        "/v1/%2e%2e/v1/chat/completions",
        "/health/%2e%2e/v1/chat/completions",
        "/v1%2Fchat%2Fcompletions",
        "/%76%31/chat/completions",
        "/V1/chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions;/health",
        "/v1/chat/completions%00",
        "/v1/chat/completions?/health",
        "/console/../v1/chat/completions",
        "/docs/%2e%2e%2fv1/chat/completions",
        "http://x/v1/chat/completions",
        "http://x/health/../v1/chat/completions",
    ],
)
async def test_no_spelling_of_a_path_reaches_an_engine_without_a_key(path: str) -> None:
    assert await status_of(path, "x") in (400, 401, 404)


@pytest.mark.parametrize("root_path", ["/v1", "/health", "/v1/chat", "//"])
async def test_a_root_path_of_a_proxy_in_front_opens_nothing(root_path: str) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        sent.append(message)

    for path in (f"{root_path}/v1/chat/completions", "/v1/chat/completions"):
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        await app()({**scope, "root_path": root_path}, receive, send)
    statuses = [message["status"] for message in sent if "status" in message]
    assert len(statuses) == 2
    assert set(statuses) <= {401, 404}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_no_method_answers_without_a_key(path: str, method: str) -> None:
    async with client_of(app()) as client:
        response = await client.request(method, path, content=b"{}" if method == "POST" else None)
    if method == "OPTIONS":  # a browser asks so before it sends a key
        assert (response.status_code, response.content) == (204, b"")
    else:
        assert response.status_code in (401, 405)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer ' OR '1'='1"},
        {"authorization": "Bearer x' UNION SELECT token FROM keys --"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"authorization": f"Bearer {KEY.upper()}"},
        {"authorization": f"Bearer x {KEY}"},
        {"x-api-key": ""},
        {"x-api-key": "null"},
        {"cookie": f"api_key={KEY}"},
        {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1"},
        {"x-original-url": "/health", "x-rewrite-url": "/health"},
        {"x-http-method-override": "GET"},
    ],
)
async def test_no_header_stands_for_a_key(headers: dict[str, str]) -> None:
    async with client_of(app(), **headers) as client:
        response = await client.post("/v1/chat/completions", json=chat())
    assert response.status_code == 401
    assert KEY not in response.text


@pytest.mark.parametrize("query", [f"api_key={KEY}", f"key={KEY}", f"authorization=Bearer {KEY}"])
async def test_no_key_is_read_from_the_query(query: str) -> None:
    async with client_of(app()) as client:
        assert (await client.post(f"/v1/chat/completions?{query}", json=chat())).status_code == 401


async def test_each_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, key: bytes) -> bool:
        compared.append((given, key))
        return hmac.compare_digest(given, key)

    monkeypatch.setattr(keys, "hmac", type("", (), {"compare_digest": staticmethod(compare), "new": hmac.new}))
    several = app_of({"m": ENGINE}, api_key=("one", "two", "three"))
    async with client_of(several, authorization="Bearer one") as client:
        await client.get("/v1/models")
    assert {key for given, key in compared if given == b"one"} == {b"one", b"two", b"three"}  # none is skipped


async def test_a_websocket_is_closed_before_it_opens() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app()({"type": "websocket", "path": "/v1/realtime", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_the_key_is_checked_before_the_body_is_read() -> None:
    [head, _] = await drive(app(), headers=[(b"content-type", b"application/json")])
    assert head["status"] == 401
