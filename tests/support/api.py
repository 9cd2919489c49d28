"""Helpers for tests of the API: clients in memory and on a socket, and an engine whose every step a test decides."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp

from loadtest.torture.stage import listening
from serving.api import ApiSettings, create_app
from serving.cards import ModelCard
from serving.engine import Engine
from serving.types import Delta, GenerateRequest, Report
from serving.usage import TokenUsage

HELLO = [{"role": "user", "content": "Hello"}]
END = Delta(finish_reason="stop", usage=TokenUsage(3, 2, 1))


def chat(model: str = "m", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, **fields}


def app_of(
    engines: Mapping[str, Engine],
    *,
    recipes: tuple[str, ...] = (),
    page: Callable[[], Awaitable[bytes]] | None = None,
    **settings: Any,
) -> ASGIApp:
    """The API over `engines`; `page` makes that of `/metrics`."""
    cards = [ModelCard(name, "recipe" if name in recipes else "model", 4096) for name in engines]
    return create_app(engines, cards, ApiSettings(**settings), metrics=page)


def client_of(app: ASGIApp, **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://server", headers=headers)


async def get(app: ASGIApp, path: str) -> httpx.Response:
    async with client_of(app) as client:
        return await client.get(path)


def status_and_code(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an error response, which must have OpenAI's format."""
    (error,) = response.json().values()
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers["content-type"] == "application/json"
    return response.status_code, error["code"]


async def drive(
    app: ASGIApp, *messages: dict[str, Any], headers: list[tuple[bytes, bytes]] | None = None, reads: int = 1000
) -> list[Any]:
    """Messages that `app` sends if it receives `messages` and then nothing more; the client reads `reads` of them."""
    waiting, sent = list(messages), []

    async def receive() -> Any:
        return waiting.pop(0) if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if len(sent) == reads:
            await asyncio.Event().wait()
        sent.append(message)

    path = "/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers or []}
    await app(scope, receive, send)
    return sent


async def ask(app: ASGIApp, **fields: Any) -> httpx.Response:
    async with client_of(app) as client:
        return await client.post("/v1/chat/completions", json=chat(**fields))


def chunks(response: httpx.Response) -> list[Any]:
    """Data of every event, parsed unless it is `[DONE]`."""
    events = [event.removeprefix("data: ") for event in response.text.split("\n\n") if event.startswith("data: ")]
    return [event if event == "[DONE]" else json.loads(event) for event in events]


def texts(response: httpx.Response) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks(response)
        if isinstance(chunk, dict)
        for choice in chunk.get("choices", ())
    )


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[str]:
    """Base URL of a real server on a free port of the loopback interface."""
    async with listening(app) as port:
        yield f"http://127.0.0.1:{port}"


class HandEngine(Engine):
    """Yields items when a test gives them; `closed` is set when its stream has been closed."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[Delta | BaseException | None] = asyncio.Queue()
        self.asked, self.closed = asyncio.Event(), asyncio.Event()
        self.requests: list[GenerateRequest] = []

    def give(self, *items: Delta | BaseException | None) -> None:
        """Queue deltas to yield, errors to raise, and None to end the stream."""
        for item in items:
            self.items.put_nowait(item)

    async def check_health(self) -> None: ...

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        self.asked.set()
        try:
            while (item := await self.items.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed.set()


def degraded_end(*reasons: str) -> Delta:
    return Delta(finish_reason="stop", usage=TokenUsage(1, 1, 0), report=Report("team", True, reasons, ()))
