"""The API over scripted engines, in this process and on a socket of the loopback interface."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from loadtest.bench.processes import HOST
from serving.api import ApiSettings, create_app
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes

TRIO = ("a", "b", "c")
TEAM = "moa-lite"
CONTEXT_TOKENS = 32_768


def trio(**options: Any) -> dict[str, ScriptedEngine]:
    """Three scripted models that record nothing; `options` of each."""
    models = {}
    for name in TRIO:
        given: dict[str, Any] = {"answer": f"words of {name}", "context_tokens": CONTEXT_TOKENS, **options}
        models[name] = ScriptedEngine(name, requests=deque(maxlen=0), prefills=deque(maxlen=0), **given)
    return models


def orchestrate(
    models: Mapping[str, Engine], recipes: Sequence[str | Mapping[str, Any]] = (TEAM,), **options: Any
) -> Orchestrator:
    """An orchestrator of `recipes` whose team are `models`; the first one aggregates and judges."""
    names = tuple(models)
    team = {"proposers": names, "aggregator": names[0], "judge": names[0], "solo": names[0]}
    return Orchestrator(models, load_recipes(recipes, team), **options)


def app_of(orchestrator: Orchestrator, **settings: Any) -> ASGIApp:
    """The API of an orchestrator."""
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(**settings))


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[int]:
    """Serve `app` on a free port while the block runs; yield the port."""
    config = uvicorn.Config(app, host=HOST, port=0, log_level="critical", lifespan="on", backlog=4096)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        port: int = server.servers[0].sockets[0].getsockname()[1]
        yield port
    finally:
        server.should_exit = True
        await task


async def post(app: ASGIApp, path: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of the response to a JSON body, in memory."""
    waiting = [{"type": "http.request", "body": body}]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await app({**scope, "headers": [(b"content-type", b"application/json")], "http_version": "1.1"}, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def chat(model: str, text: str = "a question", **fields: Any) -> dict[str, Any]:
    """Body of a chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}
