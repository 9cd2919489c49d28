"""Keys, limits and budgets over real stores: two apps are two replicas."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from serving.engine import Engine
from serving.store.counters import Addition
from serving.store.settings import StoreSettings
from serving.store.spending import SpendingStore
from serving.store.store import Store
from serving.telemetry import Observer
from serving.types import Delta
from serving.usage import TokenUsage
from tests.support.api import HandEngine, chat
from tests.support.limits import Clock, Spender, key, limited_app
from tests.support.store_servers import redis_server
from tests.support.waiting import until

ADMIN = {"authorization": "Bearer the admin's key"}
LONG_S = 600.0
MakeStore = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
async def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeStore]:
    """Makes stores that share their state, as those of replicas."""
    settings = StoreSettings(path=str(tmp_path / "store.sqlite"), timeout_s=20, redis_timeout_s=20)
    environment = {}
    if request.param == "postgresql":
        environment[settings.database_env] = request.getfixturevalue("postgres").url
    if request.param == "redis":
        environment[settings.redis_env] = request.getfixturevalue("redis_url")
    made: list[Store] = []

    def make() -> Store:
        made.append(Store(settings, environment=environment))
        return made[-1]

    yield make
    for store in made:
        await store.close()


@pytest.fixture
def name() -> str:
    """A caller of its own for each test: they share a server."""
    return f"caller-{time.time_ns()}"


async def test_additions_are_made_together_or_not_at_all(make_store: MakeStore, name: str) -> None:
    expiring = make_store().expiring
    first, second = f"{name}:b", f"{name}:a"
    added = await expiring.add_all([Addition(first, 2, LONG_S, 3), Addition(second, 5.5, LONG_S)])
    assert (added.granted, added.totals) == (True, (2, 5.5))
    refused = await expiring.add_all([Addition(first, 2, LONG_S, 3), Addition(second, 1, LONG_S, 100)])
    assert (refused.granted, refused.totals) == (False, (2, 5.5))
    assert [await expiring.total(one) for one in (first, second)] == [2, 5.5]
    assert (await expiring.add_all([Addition(first, -2, LONG_S)])).totals == (0,)
    cents = [Addition(f"{name}:c", 0.1, LONG_S, 0.3)]
    assert [(await expiring.add_all(cents)).granted for _ in range(4)] == [True, True, True, False]


async def test_a_limit_holds_for_additions_at_the_same_time(make_store: MakeStore, name: str) -> None:
    stores = [make_store() for _ in range(3)]
    one, two = f"{name}:1", f"{name}:2"
    added = await asyncio.gather(
        *(
            store.expiring.add_all([Addition(key, 1, LONG_S, 10) for key in keys])
            for store in stores
            for keys in [(one, two), (two, one)] * 4
        )
    )
    assert sum(each.granted for each in added) == 10
    assert await stores[0].expiring.total(one) == 10


class Replicas:
    """Apps on one store, each with a client."""

    def __init__(self, make_store: MakeStore, stack: AsyncExitStack) -> None:
        self._make_store, self._stack = make_store, stack
        self.apps: list[ASGIApp] = []

    async def add(self, clock: Clock, engine: Engine, **settings: Any) -> httpx.AsyncClient:
        app = limited_app(clock, {"m": engine}, store=self._make_store(), **settings)
        self.apps.append(app)
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60)
        return await self._stack.enter_async_context(client)

    async def settled(self) -> None:
        """Return when no correction waits in any replica."""
        await until(lambda: not any(app.state.server.limiter.counters.pending for app in self.apps))


@pytest.fixture
async def replicas(make_store: MakeStore) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        yield Replicas(make_store, stack)


async def ask(client: httpx.AsyncClient, name: str, **fields: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer key of {name}"}
    return await client.post("/v1/chat/completions", json=chat(**fields), headers=headers)


async def test_limits_hold_over_all_replicas(replicas: Replicas, name: str) -> None:
    keys = [key(name, limits={"requests_per_minute": 6, "tokens_per_day": 100_000})]
    clock = Clock(time.time() // 60 * 60)
    clients = [await replicas.add(clock, Spender(1, 1), keys=keys) for _ in range(2)]
    answers = await asyncio.gather(*(ask(client, name, max_tokens=5) for client in clients * 5))
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [429] * 4
    await replicas.settled()
    expiring = replicas.apps[0].state.server.store.expiring
    day = time.strftime("%Y-%m-%d", time.gmtime(clock.now))
    assert await expiring.total(f"limit:{name}:tokens:{day}") == 12, "6 answers of 2 tokens, to the token"


async def test_a_budget_that_begins_while_another_request_ends_counts_that_request_once(
    replicas: Replicas, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on, readings, read = asyncio.Event(), asyncio.Event(), 0, SpendingStore.read

    async def slow_first(self: SpendingStore, *given: Any) -> Any:
        nonlocal readings
        readings += 1
        if readings == 1:
            reading.set()
            await go_on.wait()
        return await read(self, *given)

    monkeypatch.setattr(SpendingStore, "read", slow_first)
    clock = Clock(time.time() // 60 * 60)
    client = await replicas.add(clock, Spender(1, 1), keys=[key(name, limits={"tokens_per_day": 100_000})])
    first = asyncio.create_task(ask(client, name, max_tokens=5))
    await reading.wait()
    assert (await ask(client, name, max_tokens=5)).status_code == 200
    await replicas.settled()
    go_on.set()
    assert (await first).status_code == 200
    await replicas.settled()
    expiring = replicas.apps[0].state.server.store.expiring
    day = time.strftime("%Y-%m-%d", time.gmtime(clock.now))
    assert await expiring.total(f"limit:{name}:tokens:{day}") == 4


async def test_requests_in_progress_are_counted_over_all_replicas_and_their_end_is_known(
    replicas: Replicas, name: str
) -> None:
    keys = [key(name, limits={"concurrent_requests": 1})]
    clock, engines = Clock(time.time() // 60 * 60), [HandEngine(), HandEngine()]
    first, second = [await replicas.add(clock, engine, keys=keys) for engine in engines]
    end = Delta("Hi", finish_reason="stop", usage=TokenUsage(1, 1))
    asking = asyncio.create_task(ask(first, name))
    await engines[0].asked.wait()
    assert (await ask(second, name)).status_code == 429
    engines[0].give(end, None)
    assert (await asking).status_code == 200
    for _ in range(3):  # one after the other at the same replica: none finds the place of the last one taken
        engines[0].give(end, None)
        assert (await ask(first, name)).status_code == 200
    await replicas.settled()
    engines[1].give(end, None)
    assert (await ask(second, name)).status_code == 200


async def test_a_budget_outlives_replicas_and_counters(replicas: Replicas, name: str) -> None:
    keys = [key(name, limits={"tokens_per_month": 1000})]
    clock = Clock(time.time() // 60 * 60)
    first = await replicas.add(clock, Spender(600, 300), keys=keys)
    assert (await ask(first, name, max_tokens=5)).status_code == 200
    await replicas.settled()
    expiring = replicas.apps[0].state.server.store.expiring
    month = time.strftime("%Y-%m", time.gmtime(clock.now))
    assert await expiring.total(f"limit:{name}:tokens:{month}") == 900
    # The counters are lost, as those of a Redis server without files.
    for unit in ("tokens", "usd", "marker"):
        lost = await expiring.total(f"limit:{name}:{unit}:{month}")
        await expiring.add_all([Addition(f"limit:{name}:{unit}:{month}", -lost, LONG_S)])
    second = await replicas.add(clock, Spender(600, 300), keys=keys)
    refused = await ask(second, name, max_tokens=900)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "insufficient_quota"
    await replicas.settled()
    assert await expiring.total(f"limit:{name}:tokens:{month}") == 900, "seeded once, and nothing was reserved"
    assert (await ask(second, name, max_tokens=20)).status_code == 200


async def test_a_replica_that_dies_takes_no_place_for_longer_than_two_minutes(replicas: Replicas, name: str) -> None:
    keys = [key(name, limits={"concurrent_requests": 1, "tokens_per_minute": 1000})]
    start = time.time() // 60 * 60
    clocks, hand = [Clock(start), Clock(start)], HandEngine()
    dying = await replicas.add(clocks[0], hand, keys=keys)
    other = await replicas.add(clocks[1], Spender(1, 1), keys=keys)
    asking = asyncio.create_task(ask(dying, name, max_tokens=900))
    await hand.asked.wait()
    # From now on the first replica does nothing: it is dead. Its clock stands still.
    assert (await ask(other, name, max_tokens=5)).status_code == 429
    clocks[1].now = start + 120
    assert (await ask(other, name, max_tokens=500)).status_code == 200
    hand.give(Delta("Hi", finish_reason="stop", usage=TokenUsage(1, 1)), None)
    await asking


async def test_keys_are_managed_without_a_restart(replicas: Replicas, name: str) -> None:
    settings = {"admin_key": "the admin's key", "keys_refresh_s": 0.05}
    first, second = [await replicas.add(Clock(), Spender(1, 1), **settings) for _ in range(2)]
    body = {"name": name, "team": "web", "models": ["m"], "limits": {"requests_per_minute": 2}}
    made = (await first.post("/v1/admin/keys", json=body, headers=ADMIN)).json()
    assert made["limits"] == {"requests_per_minute": 2}
    own = {"authorization": f"Bearer {made['key']}"}
    answer = await second.post("/v1/chat/completions", json=chat(), headers=own)
    assert (answer.status_code, answer.headers["x-ratelimit-limit-requests"]) == (200, "2")

    listed = await second.get("/v1/admin/keys", headers=ADMIN)
    shown = [one for one in listed.json()["data"] if one["name"] == name]
    assert [one["status"] for one in shown] == ["valid"]
    assert made["key"].rsplit("-", 1)[1] not in listed.text

    changed = await first.patch(f"/v1/admin/keys/{name}", json={"limits": {}}, headers=ADMIN)
    assert changed.json()["limits"] == {}

    async def changed_there() -> bool:
        answer = await second.post("/v1/chat/completions", json=chat(), headers=own)
        return "x-ratelimit-limit-requests" not in answer.headers

    await until(changed_there)
    rotated = (await first.post(f"/v1/admin/keys/{name}/rotate", json={"grace_s": 3600}, headers=ADMIN)).json()
    new = {"x-api-key": rotated["key"]}
    for headers in (own, new):
        assert (await second.get("/v1/models", headers=headers)).status_code == 200
    assert (await first.delete(f"/v1/admin/keys/{name}", headers=ADMIN)).json()["status"] == "revoked"
    assert (await first.get("/v1/models", headers=own)).status_code == 401

    async def refused_there() -> bool:
        return (await second.get("/v1/models", headers=new)).status_code == 401

    await until(refused_there)


async def test_only_administrators_manage_keys(replicas: Replicas, name: str) -> None:
    client = await replicas.add(
        Clock(), Spender(1, 1), keys=[key("user"), key("boss", admin=True)], api_key="plain", keys_refresh_s=60
    )
    for given in ("key of user", "plain"):
        refused = await client.get("/v1/admin/keys", headers={"authorization": f"Bearer {given}"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "admin_key_required")
    assert (await client.get("/v1/admin/keys")).status_code == 401
    boss = {"authorization": "Bearer key of boss"}
    assert (await client.get("/v1/admin/keys", headers=boss)).status_code == 200
    for body, said in (
        ({"name": "user"}, "Change 'name': 'user' stands for other callers."),
        ({"name": name, "models": ["x"]}, "Change 'models' of the key: 'x' is not one of m."),
        ({"name": name, "limits": {"requests_per_minute": "3"}}, "limits.requests_per_minute"),
        ({"name": name, "limit": {}}, "limit"),
        ({}, "name"),
    ):
        wrong = await client.post("/v1/admin/keys", json=body, headers=boss)
        assert wrong.status_code == 400
        assert said in wrong.json()["error"]["message"]
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("PATCH", "")):
        absent = await client.request(method, f"/v1/admin/keys/{name}{path}", json={}, headers=boss)
        assert (absent.status_code, absent.json()["error"]["code"]) == (404, "key_not_found")


@pytest.mark.parametrize("decision", ["allow", "refuse"])
async def test_without_the_store_each_replica_counts_alone_or_refuses(tmp_path: Path, decision: str) -> None:
    class Seen(Observer):
        decisions: list[str] = []

        def limits_without_store(self, decision: str) -> None:
            self.decisions.append(decision)

    seen = Seen()
    settings = StoreSettings(path=str(tmp_path / "store.sqlite"), timeout_s=20, redis_timeout_s=20)
    clock = Clock(time.time() // 60 * 60)
    with redis_server(tmp_path) as url:
        store = Store(settings, environment={settings.redis_env: url})
        app = limited_app(
            clock,
            {"m": Spender(1, 1)},
            store=store,
            observer=seen,
            keys=[key(limits={"requests_per_minute": 2, "tokens_per_day": 1000})],
            limits_without_store=decision,
        )
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=60)
        assert (await ask(client, "a", max_tokens=1)).status_code == 200
        await until(lambda: not app.state.server.limiter.counters.pending)
    answer = await ask(client, "a", max_tokens=1)
    assert answer.status_code == (200 if decision == "allow" else 503)
    if decision == "allow":
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        assert (await ask(client, "a", max_tokens=1)).status_code == 429
    else:
        assert answer.json()["error"]["code"] == "store_unavailable"
    assert set(seen.decisions) == {decision}
    with redis_server(tmp_path, int(url.split(":")[2].split("/")[0])):
        clock.now += 61
        await store.check()
        await until(lambda: not app.state.server.limiter.counters.pending)
        answered = 2 if decision == "allow" else 1
        day = time.strftime("%Y-%m-%d", time.gmtime(clock.now))
        assert (await ask(client, "a", max_tokens=1)).status_code == 200
        await until(lambda: not app.state.server.limiter.counters.pending)
        # What was answered meanwhile was written when the store was there again, and the rest came from the database.
        spent = await SpendingStore(store.database).read(["a"], [day])
        assert spent["a", day].tokens == 2 * (answered + 1)
        await client.aclose()
        await app.state.server.limiter.close()
        await store.close()
