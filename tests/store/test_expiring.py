"""Values, counters and claims with a lifetime: the same in SQLite, PostgreSQL and Redis."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import select

from serving.store.counters import Addition
from serving.store.database import Database
from serving.store.database_expiring import DatabaseExpiring
from serving.store.errors import StoreUnavailable
from serving.store.expiring import Expiring
from serving.store.redis_expiring import RedisExpiring
from serving.store.settings import StoreSettings
from serving.store.store import Store
from serving.store.tables import COUNTERS, VALUES
from tests.support.store_servers import redis_server
from tests.support.waiting import until

LONG_S, SHORT_S = 600.0, 0.05


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
async def expiring(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Expiring]:
    settings = StoreSettings(path=str(tmp_path / "store.sqlite"), timeout_s=20, redis_timeout_s=20)
    environment = {}
    if request.param == "postgresql":
        environment[settings.database_env] = request.getfixturevalue("postgres").url
    if request.param == "redis":
        environment[settings.redis_env] = request.getfixturevalue("redis_url")
    store = Store(settings, environment=environment)
    yield store.expiring
    await store.close()


@pytest.fixture
def key() -> str:
    return f"test:{uuid.uuid4().hex}"


async def add(expiring: Expiring, key: str, amount: float, ttl_s: float) -> float:
    (total,) = (await expiring.add_all([Addition(key, amount, ttl_s)])).totals
    return total


async def test_a_value_is_kept_and_replaced(expiring: Expiring, key: str) -> None:
    assert await expiring.get(key) is None
    await expiring.put(key, b"\x00one", LONG_S)
    assert await expiring.get(key) == b"\x00one"
    await expiring.put(key, b"two", LONG_S)
    assert await expiring.get(key) == b"two"


async def test_a_value_expires(expiring: Expiring, key: str) -> None:
    await expiring.put(key, b"v", SHORT_S)

    async def gone() -> bool:
        return await expiring.get(key) is None

    await until(gone)


async def test_a_counter_adds_and_begins_again_when_it_has_expired(expiring: Expiring, key: str) -> None:
    assert await expiring.total(key) == 0
    assert [await add(expiring, key, amount, LONG_S) for amount in (1, 2.5, -1)] == [1, 3.5, 2.5]
    assert await expiring.total(key) == 2.5
    short = f"{key}:short"
    await add(expiring, short, 5, SHORT_S)

    async def gone() -> bool:
        return await expiring.total(short) == 0

    await until(gone)
    assert await add(expiring, short, 1, LONG_S) == 1


async def test_additions_do_not_prolong_a_counter(
    database: Database, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    expiring = DatabaseExpiring(database)
    now = time.time()
    for seconds, amount, total in ((0, 1, 1), (9, 1, 2), (11, 5, 5)):
        monkeypatch.setattr("serving.store.database_expiring.time.time", lambda seconds=seconds: now + seconds)
        assert await add(expiring, key, amount, 10) == total


async def test_additions_do_not_prolong_a_counter_of_redis(redis_url: str, key: str) -> None:
    expiring, client = RedisExpiring(redis_url, 20), Redis.from_url(redis_url)
    await add(expiring, key, 1, LONG_S)
    await add(expiring, key, 1, 100 * LONG_S)
    assert 0 < await client.pttl(f"moa:counter:{key}") <= 1000 * LONG_S
    await client.aclose()
    await expiring.close()


async def test_what_has_expired_is_removed(database: Database, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    expiring = DatabaseExpiring(database)
    for name, ttl_s in (("short", 10.0), ("long", 1000.0)):
        await expiring.put(f"{key}:{name}", b"v", ttl_s)
        await add(expiring, f"{key}:{name}", 1, ttl_s)
    now = time.time()
    monkeypatch.setattr("serving.store.database_expiring.time.time", lambda: now + 100)
    await expiring.sweep()
    for table in (VALUES, COUNTERS):
        async with database.reading() as connection:
            left = await connection.execute(select(table.c.key).where(table.c.key.startswith(key)))
            assert left.scalars().all() == [f"{key}:long"]


async def test_no_addition_is_lost(expiring: Expiring, key: str) -> None:
    sums = await asyncio.gather(*(add(expiring, key, 1, LONG_S) for _ in range(20)))
    assert sorted(sums) == [float(number) for number in range(1, 21)]


async def test_one_owner_has_a_claim(expiring: Expiring, key: str) -> None:
    assert await expiring.claim(key, "a", LONG_S)
    assert await expiring.claim(key, "a", LONG_S), "prolonged"
    assert not await expiring.claim(key, "b", LONG_S)
    await expiring.release(key, "b")
    assert not await expiring.claim(key, "b", LONG_S), "another's release ends nothing"
    await expiring.release(key, "a")
    assert await expiring.claim(key, "b", SHORT_S)
    await until(lambda: expiring.claim(key, "a", LONG_S))


async def test_redis_that_is_away_says_so_and_comes_back(tmp_path: Path) -> None:
    settings = StoreSettings(path=str(tmp_path / "store.sqlite"), timeout_s=5, redis_timeout_s=5)
    with redis_server(tmp_path) as url:
        store = Store(settings, environment={settings.redis_env: url})
        await store.expiring.put("k", b"v", LONG_S)
    await store.check()
    assert store.available == {"database": True, "expiring": False}
    with pytest.raises(StoreUnavailable):
        await store.expiring.get("k")
    with redis_server(tmp_path, int(url.split(":")[2].split("/")[0])):
        await store.check()
        assert store.available == {"database": True, "expiring": True}
        assert await store.expiring.get("k") is None
        await store.close()
