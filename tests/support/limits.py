"""Apps whose limits run on a clock that a test sets."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

import httpx
from starlette.types import ASGIApp

from serving.api.app import create_app
from serving.api.exchange import Api
from serving.api.limiter import Limiter
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engine import Engine, EngineInfo
from serving.engines.scripted import ScriptedEngine
from serving.store.store import Store
from serving.telemetry import Observer
from serving.types import Delta, GenerateRequest, Report
from serving.usage import TokenUsage
from tests.support.api import HELLO, client_of

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": HELLO},
    "/v1/responses": {"model": "m", "input": "Hello"},
    "/v1/messages": {"model": "m", "messages": HELLO, "max_tokens": 10},
    "/v1/completions": {"model": "m", "prompt": "Hello"},
}
NOON = 1_795_953_600.0  # 2026-11-29 12:00:00 UTC, the beginning of a minute
PRICE = {"prompt": 1.0, "completion": 2.0}


class Clock:
    """Unix time that stands still."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def limited_app(
    clock: Clock,
    engines: Mapping[str, Engine] | None = None,
    *,
    store: Store | None = None,
    observer: Observer | None = None,
    recipes: tuple[str, ...] = (),
    **settings: Any,
) -> Api:
    """The API over `engines` (by default one model `m`), with prices, and limits by `clock`."""
    engines = engines or {"m": ScriptedEngine("m", "one two three")}
    cards = [
        ModelCard(name, "recipe", 4096)
        if name in recipes
        else ModelCard(name, "model", 4096, usd_per_million_tokens=PRICE)
        for name in engines
    ]
    return with_clock(create_app(engines, cards, ApiSettings(**settings), observer, store=store), clock)


def with_clock(app: Api, clock: Clock) -> Api:
    """`app`, whose limits run on `clock` from now on."""
    server = app.state.server
    limiter = Limiter(server.settings, server.cards, server.store, server.observer, clock)
    app.state.server = replace(server, limiter=limiter)
    return app


def key(name: str = "a", **fields: Any) -> dict[str, Any]:
    """A named key whose text is `key of NAME`."""
    return {"name": name, "key": f"key of {name}", **fields}


def limits(**fields: Any) -> dict[str, Any]:
    """A named key with limits."""
    return key(limits=fields)


def auth(name: str = "a") -> dict[str, str]:
    """Headers with the key of `key(name)`."""
    return {"authorization": f"Bearer key of {name}"}


class Spender(Engine):
    """Answers with a given usage and text."""

    def __init__(self, prompt: int, completion: int, *, text: str = "Hi", error: Exception | None = None) -> None:
        self.usage, self.text, self.error = TokenUsage(prompt, completion), text, error
        self.requests: list[GenerateRequest] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(raw_prompts=True)

    async def check_health(self) -> None: ...

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        if self.text:
            yield Delta(self.text)
        if self.error is not None:
            raise self.error
        for index in range(request.sampling.n):
            end = index == request.sampling.n - 1
            yield Delta(index=index, finish_reason="stop", usage=self.usage if end else None)


class Team(Spender):
    """A recipe whose answer has a report."""

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        yield Delta("Hi", finish_reason="stop", usage=self.usage, report=Report("team", False, (), ()))


async def ask(app: ASGIApp, path: str = "/v1/chat/completions", name: str = "a", **fields: Any) -> httpx.Response:
    async with client_of(app) as client:
        return await client.post(path, json={**BODIES[path], **fields}, headers=auth(name))
