"""Lines in progress by the load of the orchestrators."""

from collections.abc import Sequence

import pytest

from serving.batches.load import PERIOD_S, places
from serving.batches.load import report as report_load
from serving.batches.load import share as load_share
from serving.batches.settings import BatchSettings
from serving.store.counters import Added, Addition

SETTINGS = BatchSettings(max_concurrent=16, min_concurrent=2, max_load=0.2)


@pytest.mark.parametrize(
    ("load", "expected"), [(0.0, 16), (0.05, 12), (0.1, 8), (0.199, 2), (0.2, 2), (5.0, 2), (None, 2)]
)
def test_the_busier_the_fewer(load: float | None, expected: int) -> None:
    assert places(SETTINGS, load) == expected


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
    assert await load_share(counters, now) == 0
    assert await load_share(counters, now + PERIOD_S) == 40 / 200
    assert await load_share(counters, now + 2 * PERIOD_S) == 0
    assert len(counters.sums) == 2
