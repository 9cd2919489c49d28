"""Lines in progress by the load of the orchestrators."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress

import pytest

from serving.batches.load import IDLE, PERIOD_S, Load, current, places, report_always
from serving.batches.load import report as report_load
from serving.batches.settings import BatchSettings
from serving.batches.slots import Places
from serving.store.counters import Added, Addition
from tests.support.waiting import until

SETTINGS = BatchSettings(max_concurrent=16, min_concurrent=1, max_beside=0.1, max_load=0.5, quiet_s=30, rest_s=20)
REST, FULL = Places(1, 20.0), Places(16, 0.0)


@pytest.mark.parametrize(
    ("requests", "quiet_for_s", "expected"),
    [
        (0, math.inf, FULL),
        (0, 30, FULL),
        (0, 29, REST),  # others ask now and then
        (2, 0, REST),
        (19, 0, Places(1, 0.0)),
        (20, 0, Places(2, 0.0)),
        (400, 0, FULL),
        (500, 0, REST),  # of 1,000 that are admitted
        (2000, 0, REST),
    ],
)
def test_a_line_runs_beside_ten_requests_or_alone(requests: float, quiet_for_s: float, expected: Places) -> None:
    assert places(SETTINGS, Load(requests, 1000.0), quiet_for_s) == expected


def test_an_unknown_load_is_a_high_one() -> None:
    assert places(SETTINGS, None, math.inf) == REST
    assert places(BatchSettings(min_concurrent=0), Load(2, 10), 0).limit == 0
    assert places(BatchSettings(min_concurrent=4, max_beside=0.5), Load(6, 100), 0).limit == 4


class Counters:
    """The part of `Expiring` that is needed."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}

    async def add_all(self, additions: Sequence[Addition]) -> Added:
        for one in additions:
            assert one.ttl_s > 2 * PERIOD_S
            self.sums[one.key] = self.sums.get(one.key, 0) + one.amount
        return Added(True, tuple(self.sums[one.key] for one in additions))

    async def total(self, key: str) -> float:
        return self.sums.get(key, 0)


async def test_the_load_is_that_of_all_orchestrators_in_the_last_period() -> None:
    counters = Counters()
    now = 1000 * PERIOD_S
    for in_flight, limit in ((10, 100), (30, 100), (0, 100)):
        await report_load(counters, in_flight, limit, now)
    assert await current(counters, now) == IDLE
    assert await current(counters, now + PERIOD_S) == Load(40, 200)
    assert await current(counters, now + 2 * PERIOD_S) == IDLE
    assert len(counters.sums) == 2


async def test_a_request_that_was_short_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most that were in progress, not those that happen to be when it is reported."""
    monkeypatch.setattr("serving.batches.load.PERIOD_S", 0.2)
    looks = 0

    def in_flight() -> int:
        nonlocal looks
        looks += 1
        return 7 if looks == 5 else 0

    counters = Counters()
    reporting = asyncio.create_task(report_always(counters, in_flight, 10))
    await until(lambda: looks > 30)
    reporting.cancel()
    with suppress(asyncio.CancelledError):
        await reporting
    assert [value for key, value in counters.sums.items() if "requests" in key] == [7]
