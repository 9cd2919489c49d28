"""Keys and spending in SQLite and PostgreSQL."""

import asyncio
import time

import pytest

from serving.store.database import Database
from serving.store.key_store import KeyStore, NameTaken, NoSuchKey
from serving.store.spending import SpendingStore, Spent
from tests.support.limits import NOON, Clock


@pytest.fixture
def name() -> str:
    """A caller of its own for each test: they share a server."""
    return f"caller-{time.time_ns()}"


async def test_keys_are_made_replaced_changed_and_revoked(database: Database, name: str) -> None:
    clock = Clock()
    keys = KeyStore(database, clock)
    key, record = await keys.create(name, "web", {"models": ["m"]}, admin=False, expires_at=NOON + 1000)
    assert (await keys.record(key.id), await keys.record("absent")) == (record, None)
    assert key.matches(record.salt, record.digest)
    assert key.text.encode() not in record.digest
    with pytest.raises(NameTaken):
        await keys.create(name, "", {}, admin=False, expires_at=None)
    clock.now += 1
    new, _ = await keys.rotate(name, 60)
    former, latest = await keys.records(name)
    assert (former.expires_at, latest.expires_at, latest.team, latest.settings) == (
        NOON + 61,
        NOON + 1000,
        "web",
        {"models": ["m"]},
    )
    assert new.text != key.text
    await keys.change(name, {"team": "shop", "expires_at": None})
    former, latest = await keys.records(name)
    assert (former.team, former.expires_at, latest.team, latest.expires_at) == ("shop", NOON + 61, "shop", None)
    clock.now += 100
    assert [one.id for one in await keys.revoke(name)] == [latest.id], "the former has expired"
    assert {one.id for one in await keys.changed_since(clock.now) if one.name == name} == {latest.id}
    with pytest.raises(NoSuchKey):
        await keys.revoke(name)
    with pytest.raises(NoSuchKey):
        await keys.rotate(name, 0)
    await keys.create(name, "", {}, admin=False, expires_at=None)


async def test_one_of_two_that_make_the_same_name_fails(database: Database, name: str) -> None:
    keys = KeyStore(database)
    made = await asyncio.gather(
        *(keys.create(name, "", {}, admin=False, expires_at=None) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(one, NameTaken) for one in made) == 1
    assert len(await keys.records(name)) == 1


async def test_spending_is_added(database: Database, name: str) -> None:
    spending = SpendingStore(database)
    day, month = (name, "2026-11-29"), (name, "2026-11")
    for _ in range(2):
        await spending.add({day: Spent(10, 0.5), month: Spent(10, 0.5)})
    assert await spending.read([name], ["2026-11-29", "2026-11"]) == {day: Spent(20, 1.0), month: Spent(20, 1.0)}
    assert await spending.read([name], ["2026-12"]) == {}
