"""Redis that hangs, with real signals: it takes connections and answers nothing."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis

from serving.store.errors import StoreUnavailable
from serving.store.settings import StoreSettings
from serving.store.store import Store
from tests.support.api import chat
from tests.support.limits import Clock, Spender, key, limited_app
from tests.support.store_servers import redis_server
from tests.support.waiting import until

SLOW_S = 60.0  # of the database: waiting for it would fail the test
HANG_S = 40.0  # far longer than an answer waits for Redis, and shorter than `SLOW_S`


class Hanging:
    """A Redis server of its own that a test stops and continues."""

    def __init__(self, url: str) -> None:
        self.url = url
        with Redis.from_url(url) as client:
            self._pid = int(client.info("server")["process_id"])

    def stop(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Hanging]:
    with redis_server(tmp_path) as url:
        yield Hanging(url)


def store_of(folder: Path, redis: Hanging) -> Store:
    settings = StoreSettings(path=str(folder / "store.sqlite"), timeout_s=SLOW_S, redis_timeout_s=0.5)
    return Store(settings, environment={settings.redis_env: redis.url})


async def test_a_server_that_hangs_is_waited_for_once_until_a_check_reaches_it(redis: Hanging, tmp_path: Path) -> None:
    store = store_of(tmp_path, redis)
    await until(lambda: _put(store))  # a busy machine may need longer than 0.5 s once
    redis.stop()
    async with asyncio.timeout(HANG_S):
        with pytest.raises(StoreUnavailable):
            await store.expiring.get("k")
        with pytest.raises(StoreUnavailable, match="asked again after the next check"):
            await store.expiring.get("k")
        with pytest.raises(StoreUnavailable, match="asked again after the next check"):
            await store.expiring.claim("c", "me", 60)
        await store.check()
    assert not store.available["expiring"]
    redis.go_on()

    async def reached() -> bool:
        await store.check()
        return store.available["expiring"]

    await until(reached)
    assert await store.expiring.get("k") == b"v"
    await store.close()


async def test_answers_go_on_while_redis_hangs(redis: Hanging, tmp_path: Path) -> None:
    store = store_of(tmp_path, redis)
    keys = [key(limits={"requests_per_minute": 100, "concurrent_requests": 100, "tokens_per_day": 10_000})]
    app = limited_app(Clock(time.time() // 60 * 60), {"m": Spender(1, 1)}, store=store, keys=keys)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=None) as client,
    ):
        headers = {"authorization": "Bearer key of a"}

        async def ask() -> int:
            return (await client.post("/v1/chat/completions", json=chat(), headers=headers)).status_code

        assert await ask() == 200
        redis.stop()
        async with asyncio.timeout(HANG_S):
            assert [await ask() for _ in range(5)] == [200] * 5
        redis.go_on()
        await store.check()
        await app.state.server.limiter.close()
    await store.close()


async def _put(store: Store) -> bool:
    try:
        await store.expiring.put("k", b"v", 600)
    except StoreUnavailable:
        await store.check()
        return False
    return True
