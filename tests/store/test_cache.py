"""The response cache in real stores: two processes with one store, limits, and a store that is lost."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from serving.api.app import create_app
from serving.api.exchange import Api
from serving.api.settings import ApiSettings
from serving.cache import response_cache as cache_module
from serving.cards import ModelCard
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.store.database import Database
from serving.store.database_expiring import DatabaseExpiring
from serving.store.settings import StoreSettings
from serving.store.store import Store
from serving.store.tables import VALUES
from serving.types import Delta
from tests.support.api import END, HandEngine
from tests.support.store_servers import redis_server
from tests.support.waiting import until

LONG_S = 600.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer waits until it is stored, however slow the machine is."""
    monkeypatch.setattr(cache_module, "WRITE_WAIT_S", 60.0)


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def environment(request: pytest.FixtureRequest) -> Mapping[str, str]:
    if request.param == "postgresql":
        return {StoreSettings().database_env: request.getfixturevalue("postgres").url}
    return {StoreSettings().redis_env: request.getfixturevalue("redis_url")} if request.param == "redis" else {}


@asynccontextmanager
async def served(
    folder: Path, environment: Mapping[str, str], *engines: Engine, **settings: Any
) -> AsyncIterator[list[tuple[Api, httpx.AsyncClient]]]:
    """An app for each engine, all with one store, as the processes of one server have."""
    async with AsyncExitStack() as stack:
        found = []
        for engine in engines:
            store = Store(
                StoreSettings(path=str(folder / "store.sqlite"), timeout_s=20, redis_timeout_s=20),
                environment=environment,
            )
            app = create_app({"m": engine}, [ModelCard("m", "model")], ApiSettings(**settings), store=store)
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
            found.append((app, await stack.enter_async_context(client)))
        yield found


def body(question: str, **fields: Any) -> dict[str, Any]:
    moa = {"cache": {"ttl_s": LONG_S}}
    return {"model": "m", "messages": [{"role": "user", "content": question}], "moa": moa, **fields}


async def ask(client: httpx.AsyncClient, question: str, **fields: Any) -> httpx.Response:
    response = await client.post("/v1/chat/completions", json=body(question, **fields))
    assert response.status_code == 200
    return response


@pytest.fixture
def question() -> str:
    """A question that no other test has asked: servers of databases are shared."""
    return uuid.uuid4().hex


async def test_an_answer_of_one_process_is_returned_by_another(
    tmp_path: Path, environment: Mapping[str, str], question: str
) -> None:
    engines = ScriptedEngine("m", "the same words"), ScriptedEngine("m", "other words")
    async with served(tmp_path, environment, *engines) as [(_, one), (_, other)]:
        first = await ask(one, question)
        second = await ask(other, question)
        streamed = await ask(other, question, stream=True)
    assert first.headers["x-moa-cache"] == "stored"
    assert second.headers["x-moa-cache"] == streamed.headers["x-moa-cache"] == "hit"
    assert second.json()["choices"] == first.json()["choices"]
    assert "the same words" in streamed.text
    assert not engines[1].requests


async def test_equal_requests_of_two_processes_are_computed_once(
    tmp_path: Path, environment: Mapping[str, str], question: str
) -> None:
    engines = HandEngine(), HandEngine()
    async with served(tmp_path, environment, *engines) as [(_, one), (app, other)]:
        first = asyncio.create_task(ask(one, question))
        await engines[0].asked.wait()
        second = asyncio.create_task(ask(other, question, stream=True))
        await until(lambda: len(app.state.server.cache.flights) == 1)
        engines[0].give(Delta("once"), END, None)
        answers = [await first, await second]
    assert not engines[1].asked.is_set()
    assert '"cached":true' in answers[1].text
    assert "once" in answers[1].text


async def test_a_process_that_leaves_frees_the_other(
    tmp_path: Path, environment: Mapping[str, str], question: str
) -> None:
    engines = HandEngine(), HandEngine()
    async with served(tmp_path, environment, *engines) as [(_, one), (app, other)]:
        first = asyncio.create_task(ask(one, question))
        await engines[0].asked.wait()
        second = asyncio.create_task(ask(other, question))
        await until(lambda: len(app.state.server.cache.flights) == 1)
        first.cancel()
        await asyncio.wait({first})
        await engines[1].asked.wait()
        engines[1].give(Delta("after all"), END, None)
        answer = await second
    assert answer.json()["choices"][0]["message"]["content"] == "after all"


async def test_old_answers_make_room_in_the_database(database: Database) -> None:
    expiring = DatabaseExpiring(database)
    beginning = f"cache:{uuid.uuid4().hex}%_:"
    for number in range(4):
        await expiring.put(f"{beginning}{number}", bytes(100), LONG_S + number)
    await expiring.put(f"x{beginning}", bytes(1000), 1.0)
    await expiring.evict(beginning, 250)
    left = [number for number in range(4) if await expiring.get(f"{beginning}{number}") is not None]
    assert left == [2, 3], "those that expire last"
    await expiring.evict(beginning, 250)
    assert await expiring.get(f"{beginning}2") == bytes(100)


async def test_the_cache_stays_within_its_size(tmp_path: Path, question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_SHARE", 2**30)  # after each answer
    now = time.time()
    monkeypatch.setattr("serving.store.database_expiring.time.time", lambda: now)
    async with served(tmp_path, {}, ScriptedEngine("m", "words")) as [(app, client)]:
        cache = app.state.server.cache
        await ask(client, f"{question} 1")
        size = len(await cache._expiring.get(await only_key(cache._expiring)))
        cache.settings = cache.settings.model_copy(update={"max_total_bytes": 3 * size})
        for number in range(2, 7):
            now += 1
            await ask(client, f"{question} {number}")
        await until(lambda: not cache._tasks)
        found = [(await ask(client, f"{question} {number}")).headers["x-moa-cache"] for number in (6, 5, 1)]
    assert found[:2] == ["hit", "hit"]
    assert found[2] == "stored"


async def only_key(expiring: DatabaseExpiring) -> str:
    async with expiring._database.reading() as connection:
        keys = (await connection.execute(select(VALUES.c.key))).scalars().all()
    (key,) = [key for key in keys if key.startswith("cache:a:")]
    return key


async def test_redis_that_is_killed_in_the_middle_costs_no_answer(
    tmp_path: Path, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "AWAY_S", 0.0)
    engine = HandEngine()
    async with AsyncExitStack() as stack:
        with redis_server(tmp_path) as url:
            port = int(url.split(":")[2].split("/")[0])
            environment = {StoreSettings().redis_env: url}
            [(_, client)] = await stack.enter_async_context(served(tmp_path, environment, engine))
            asking = asyncio.create_task(ask(client, question))
            await engine.asked.wait()
        engine.give(Delta("the answer"), END, None)
        answer = await asking
        assert answer.headers["x-moa-cache"] == "miss"
        assert answer.json()["choices"][0]["message"]["content"] == "the answer"
        with redis_server(tmp_path, port):
            engine.give(Delta("again"), END, None)
            await ask(client, question)
            assert (await ask(client, question)).headers["x-moa-cache"] == "hit"
