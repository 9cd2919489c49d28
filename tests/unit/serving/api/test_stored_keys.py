"""Keys of the store, over a store that is a list: refreshes, look-ups, revocation, a store that is away."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from serving.api.keys import key_ring
from serving.api.limit_settings import KeyLimits
from serving.api.settings import ApiSettings
from serving.api.stored_keys import MISSES, StoredKeys
from serving.errors import StoreRequired, Unauthorized
from serving.store.api_key import KeyText, new_key, parsed_key
from serving.store.errors import StoreUnavailable
from serving.store.key_store import KeyRecord
from tests.support.limits import NOON, Clock
from tests.support.waiting import until

SETTINGS = ApiSettings(require_key=True, limits=KeyLimits(requests_per_minute=5))


class Stored:
    """The methods of `KeyStore` that read."""

    def __init__(self) -> None:
        self.keys: list[KeyRecord] = []
        self.away = False
        self.fault: Exception | None = None
        self.looked_up: list[str] = []
        self.complete = 0

    async def records(self) -> list[KeyRecord]:
        self.complete += 1
        return self._reached()

    async def changed_since(self, at: float) -> list[KeyRecord]:
        return [one for one in self._reached() if one.changed_at >= at]

    async def record(self, key_id: str) -> KeyRecord | None:
        self.looked_up.append(key_id)
        await asyncio.sleep(0)
        return next((one for one in self._reached() if one.id == key_id), None)

    def add(self, name: str = "a", **fields: Any) -> KeyText:
        key = new_key()
        record = KeyRecord(key.id, name, "t", b"salt", key.digest(b"salt"), {}, False, NOON, NOON, None, None)
        self.keys.append(replace(record, **fields))
        return key

    def change(self, **fields: Any) -> None:
        self.keys[-1] = replace(self.keys[-1], **fields)

    def _reached(self) -> list[KeyRecord]:
        if self.fault is not None:
            raise self.fault
        if self.away:
            raise StoreUnavailable("gone")
        return self.keys


def stored_keys(store: Stored, clock: Clock) -> StoredKeys:
    return StoredKeys(store, key_ring(SETTINGS), SETTINGS, clock)


async def test_a_key_is_a_caller_with_its_settings() -> None:
    store = Stored()
    key = store.add(settings={"models": ["m"], "priority_class": "batch", "limits": {"tokens_per_day": 9}}, admin=True)
    known = stored_keys(store, Clock())
    caller = await known.caller(key.text.encode())
    assert (caller.name, caller.priority_class, caller.models, caller.admin) == ("a", "batch", {"m"}, True)
    assert caller.limits == KeyLimits(requests_per_minute=5, tokens_per_day=9)
    assert caller.tenant.isolated
    assert store.looked_up == []
    await known.close()


async def test_a_batch_goes_on_under_the_name_of_a_key_until_it_is_revoked() -> None:
    store = Stored()
    store.add("old", revoked_at=NOON)
    store.add("a", settings={"models": ["m"]})
    known = stored_keys(store, Clock())
    caller = await known.named("a")
    assert caller is not None
    assert (caller.name, caller.models) == ("a", {"m"})
    assert await known.named("old") is None
    assert await known.named("b") is None
    await known.close()


async def test_a_new_key_works_at_once_also_for_requests_that_come_together() -> None:
    store = Stored()
    known = stored_keys(store, Clock())
    await known.start()
    key = store.add()
    callers = await asyncio.gather(*(known.caller(key.text.encode()) for _ in range(5)))
    assert {caller.name for caller in callers} == {"a"}
    assert store.looked_up == [key.id]
    await known.close()


async def test_a_revoked_or_changed_key_is_known_after_the_next_reading() -> None:
    store, clock = Stored(), Clock()
    key = store.add()
    known = stored_keys(store, clock)
    await known.caller(key.text.encode())
    clock.now += 5
    # By a node whose clock is behind.
    store.change(settings={"models": ["m"]}, changed_at=NOON - 1)
    await known.refresh()
    assert (await known.caller(key.text.encode())).models == {"m"}
    store.change(revoked_at=clock.now, changed_at=clock.now)
    await known.refresh()
    with pytest.raises(Unauthorized, match="has been revoked"):
        await known.caller(key.text.encode())
    assert store.complete == 1
    clock.now += 60
    store.keys.clear()
    await known.refresh()
    with pytest.raises(Unauthorized):
        await known.caller(key.text.encode())
    await known.close()


async def test_an_expired_key_is_refused_also_while_the_store_is_away() -> None:
    store, clock = Stored(), Clock()
    key = store.add(expires_at=NOON + 10)
    known = stored_keys(store, clock)
    await known.caller(key.text.encode())
    store.away = True
    await known.refresh()
    await known.caller(key.text.encode())
    clock.now += 10
    with pytest.raises(Unauthorized, match="has expired"):
        await known.caller(key.text.encode())
    with pytest.raises(StoreRequired):
        await known.caller(new_key().text.encode())
    await known.close()


async def test_wrong_keys_cannot_load_the_store() -> None:
    store, clock = Stored(), Clock()
    known = stored_keys(store, clock)
    await known.start()
    right = new_key().text
    for wrong in (b"", b"password", right[:-1].encode(), (right[:-1] + "?").encode(), "moa-ä".encode(), b"x" * 5000):
        with pytest.raises(Unauthorized):
            await known.caller(wrong)
    with pytest.raises(Unauthorized):
        await known.caller(None)
    assert store.looked_up == []
    for _ in range(10 * MISSES):
        with pytest.raises(Unauthorized):
            await known.caller(new_key().text.encode())
    assert len(store.looked_up) == MISSES
    clock.now += 1
    for _ in range(10 * MISSES):
        with pytest.raises(Unauthorized):
            await known.caller(new_key().text.encode())
    assert len(store.looked_up) == MISSES + 5
    key = store.add()
    await known.refresh()
    assert (await known.caller(key.text.encode())).name == "a", "a known key needs no look-up"
    await known.close()


async def test_the_same_wrong_key_is_looked_up_once() -> None:
    store = Stored()
    known = stored_keys(store, Clock())
    wrong = new_key()
    for _ in range(5):
        with pytest.raises(Unauthorized):
            await known.caller(wrong.text.encode())
    assert store.looked_up == [wrong.id]
    await known.close()


async def test_the_id_of_a_key_is_not_enough() -> None:
    store = Stored()
    key = store.add()
    known = stored_keys(store, Clock())
    other = new_key()
    forged = new_key()
    for wrong in (KeyText(key.id, other.text), KeyText(key.id, forged.text)):
        assert not wrong.matches(b"salt", key.digest(b"salt"))
    await known.close()


async def test_a_name_is_found_among_many_keys_without_a_look_at_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = Stored(), Clock()
    for number in range(100):
        store.add(f"other-{number}")
    store.add("a", revoked_at=NOON)
    store.add("a")
    known = stored_keys(store, clock)
    await known.start()
    looked_at: list[str] = []
    valid = KeyRecord.valid
    monkeypatch.setattr(KeyRecord, "valid", lambda record, now: looked_at.append(record.name) or valid(record, now))
    assert (await known.named("a")) is not None
    assert looked_at == ["a", "a"]
    store.keys.clear()
    clock.now += 60
    await known.refresh()
    assert await known.named("a") is None
    await known.close()


async def test_a_defect_does_not_end_the_reading_of_keys(caplog: pytest.LogCaptureFixture) -> None:
    store = Stored()
    settings = SETTINGS.model_copy(update={"keys_refresh_s": 0.001})
    known = StoredKeys(store, key_ring(settings), settings, Clock())
    await known.start()
    store.fault = ZeroDivisionError("a defect")
    await until(lambda: "a defect" in caplog.text)
    key = store.add()
    store.fault = None
    await until(lambda: key.id in known._known)
    await known.close()


async def test_settings_of_another_version_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    store = Stored()
    key = store.add(settings={"a_new_limit": 1})
    known = stored_keys(store, Clock())
    with pytest.raises(Unauthorized):
        await known.caller(key.text.encode())
    assert key.prefix in caplog.text
    assert key.text not in caplog.text
    await known.close()


def test_the_text_of_a_key_is_in_no_representation() -> None:
    key = new_key()
    assert parsed_key(key.text.encode()) == key
    assert len({new_key().text for _ in range(100)}) == 100
    assert key.text not in repr(key)
    assert key.text.startswith(key.prefix)
    secret = key.text.rsplit("-", 1)[1]
    assert secret not in repr(key)
