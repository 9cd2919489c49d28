"""Counters of limits over a store that fails: nothing is lost, and nothing ends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from serving.api import limit_counters as module
from serving.api.limit_counters import LimitCounters
from serving.store.counters import Addition
from serving.store.settings import StoreSettings
from serving.store.spending import SpendingStore, Spent
from serving.store.store import Store
from tests.support.limits import NOON, Clock
from tests.support.waiting import until

LONG_S = 600.0


class Faulty:
    """Raises an error in place of the calls of a method, until it is repaired."""

    def __init__(self, of: Any, method: str) -> None:
        self.error: Exception | None = ZeroDivisionError("a defect")
        self.failed = asyncio.Event()
        self._method = getattr(of, method)
        setattr(of, method, self._call)

    async def _call(self, *given: Any) -> Any:
        if self.error is None:
            return await self._method(*given)
        self.failed.set()
        raise self.error


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    return Store(StoreSettings(path=str(tmp_path / "store.sqlite"), timeout_s=20), environment={})


@pytest.mark.parametrize("broken", ["counters", "spending"])
async def test_a_defect_does_not_end_the_writing(store: Store, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    counters = LimitCounters(store, Clock())
    fault = Faulty(store.expiring, "add_all") if broken == "counters" else Faulty(counters.spending, "add")
    counters.correct([Addition("a", 3, LONG_S)])
    counters.spend({("a", "2026-11"): Spent(5, 0.5)})
    await fault.failed.wait()
    counters.correct([Addition("a", 4, LONG_S)])
    fault.error = None
    await until(lambda: not counters.pending)
    assert await store.expiring.total("a") == 7
    assert await SpendingStore(store.database).read(["a"], ["2026-11"]) == {("a", "2026-11"): Spent(5, 0.5)}
    assert "a defect" in caplog.text
    await counters.close(LONG_S)
    await store.close()


async def test_a_defect_of_the_store_leaves_nothing_reserved_and_loses_no_correction(store: Store) -> None:
    counters = LimitCounters(store, Clock(NOON))
    fault = Faulty(store.expiring, "add_all")
    counters.correct([Addition("a", 3, LONG_S)])
    with pytest.raises(ZeroDivisionError):
        await counters.add([Addition("a", 10, LONG_S, 100)])
    await until(lambda: counters.local.total("a") == 3)
    fault.error = None
    await until(lambda: not counters.pending)
    assert await store.expiring.total("a") == 3
    await counters.close(LONG_S)
    await store.close()
