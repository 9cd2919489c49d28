"""What the tests of the API share: clients in memory and on a socket, and an engine whose every step a test decides."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.engine import Engine
from serving.types import Delta, GenerateRequest, ModelCard, Report, TokenUsage

HELLO = [{"role": "user", "content": "Hello"}]
END = Delta(finish_reason="stop", usage=TokenUsage(3, 2, 1))


def chat(model: str = "m", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, **fields}


def app_of(engines: Mapping[str, Engine], *, recipes: tuple[str, ...] = (), **settings: Any) -> ASGIApp:
    cards = [ModelCard(name, "recipe" if name in recipes else "model", 4096) for name in engines]
    return create_app(engines, cards, ApiSettings(**settings))


def client_of(app: ASGIApp, **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://server", headers=headers)


async def ask(app: ASGIApp, **fields: Any) -> httpx.Response:
    async with client_of(app) as client:
        return await client.post("/v1/chat/completions", json=chat(**fields))


def chunks(response: httpx.Response) -> list[Any]:
    """The data of every event, JSON where it is JSON."""
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
    """The base URL of a real server on a free port of the loopback interface."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="on"))
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


class HandEngine(Engine):
    """Yields what a test `give`s it, when it does; `closed` is set when its stream has been closed."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[Delta | BaseException | None] = asyncio.Queue()
        self.asked, self.closed = asyncio.Event(), asyncio.Event()
        self.requests: list[GenerateRequest] = []

    def give(self, *items: Delta | BaseException | None) -> None:
        """Deltas are yielded, errors raised; None ends the stream."""
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
