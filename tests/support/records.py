"""A server over scripted engines with a store, for tests of its records."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Table, select

from serving.api.app import create_app
from serving.api.exchange import Api
from serving.api.recorder import AnswerSampler
from serving.api.settings import ApiSettings
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.store.record_settings import RecordSettings
from serving.store.record_tables import REQUESTS
from serving.store.record_values import day_of
from serving.store.settings import StoreSettings
from serving.store.store import Store
from serving.store.usage_report import Period, parse_day
from serving.telemetry import Observer
from serving.types import GenerateRequest
from serving.usage import TokenUsage
from tests.support.api import client_of
from tests.support.waiting import until

PRICES = {name: {"prompt": 1.0, "completion": 4.0} for name in "abcd"}  # dollars per million tokens
GUARD_S = 30.0


class Seen(Observer):
    """Observer of what keys have used and spent, and of scores."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self.month: dict[str, float] = {}
        self.scores: list[tuple[Any, ...]] = []
        self.roles: list[tuple[str, str]] = []

    def key_used(self, key: str, usage: TokenUsage) -> None:
        self.used[key] = self.used.get(key, 0) + (usage.total_tokens or 0)

    def spent(self, key: str, usd: float) -> None:
        self.month[key] = usd

    def answer_rated(self, model: str, score: float) -> None:
        self.scores.append(("rated", model, score))

    def answer_graded(self, model: str, proposers: int, score: float) -> None:
        self.scores.append(("graded", model, proposers, score))

    def answer_not_graded(self, reason: str) -> None:
        self.scores.append(("not graded", reason))

    def agent_ended(self, recipe: str, trace: Any) -> None:
        self.roles.append((recipe, trace.role))


def echoing(request: GenerateRequest) -> str:
    """As many words as the last message has, so that each request costs another number of tokens."""
    asked = request.messages[-1].content if request.prompt is None else str(request.prompt.content)
    return " ".join(["word"] * len(asked.split()))


def echo(name: str) -> ScriptedEngine:
    return ScriptedEngine(name, answer=echoing, context_tokens=4096)


def embedded(folder: Path, observer: Observer | None = None, **records: Any) -> Store:
    """Store in a SQLite file of `folder`. `records`: of `RecordSettings`."""
    settings = StoreSettings(path=str(folder / "store.sqlite"), timeout_s=20, records=RecordSettings(**records))
    return Store(settings, observer, environment={})


@asynccontextmanager
async def recording(
    store: Store | None,
    models: Mapping[str, Engine] | None = None,
    observer: Observer | None = None,
    quality: AnswerSampler | None = None,
    started: bool = True,
    **settings: Any,
) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
    """The API with the models `a`, `b`, `c`, the recipe `moa-lite` of three proposers, and models for pooling.

    `started`: False if a real server will start the app and its store.
    """
    engines = models or {name: echo(name) for name in "abc"}
    recipes = load_recipes(["moa-lite"], {"proposers": ["a", "c", "a"], "aggregator": "b"})
    pooling = {"e": ScriptedPoolingEngine("e"), "r": ScriptedPoolingEngine("r", "rerank")}
    orchestrator = Orchestrator(engines, recipes, observer=observer, pooling=pooling)
    app = create_app(
        orchestrator.engines,
        orchestrator.cards(prices=PRICES),
        ApiSettings(**settings),
        observer,
        orchestrator.pooling,
        store=store,
        quality=quality,
        budget_usd=1.0,
    )
    async with app.router.lifespan_context(app) if started else nullcontext(), client_of(app) as client:
        yield app, client


async def rows(store: Store, table: Table = REQUESTS) -> list[Any]:
    """All rows, after those that waited are written."""
    assert await store.records.flush(GUARD_S)
    async with store.database.reading() as connection:
        return list((await connection.execute(select(table))).all())


async def only_row(store: Store, table: Table = REQUESTS) -> Any:
    """The only row, as soon as it is written."""
    await until(lambda: rows(store, table))
    (row,) = await rows(store, table)
    return row


def today() -> Period:
    return Period.around("day", parse_day(day_of(time.time())))
