"""Load of the orchestrators, which they report in the store and the worker of batches reads."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from serving.batches.settings import BatchSettings
from serving.batches.slots import Places
from serving.store.counters import Addition
from serving.store.errors import StoreUnavailable
from serving.store.expiring import Expiring

PERIOD_S = 2.0
TTL_S = 5 * PERIOD_S
SAMPLES = 20  # of one period: short requests are seen, too
IN_FLIGHT, LIMIT = "batch-load:requests:", "batch-load:limit:"


@dataclass(frozen=True, slots=True)
class Load:
    """Requests in progress, and how many the orchestrators that have some admit."""

    requests: float
    limit: float

    @property
    def share(self) -> float:
        """Requests as a share of those that are admitted."""
        return self.requests / max(self.limit, 1.0)


IDLE = Load(0.0, 0.0)


async def report(expiring: Expiring, in_flight: int, limit: int, now: float) -> None:
    """Add the requests of one orchestrator to those of the current period. Without requests nothing is written."""
    if in_flight:
        period = int(now / PERIOD_S)
        await expiring.add_all(
            [Addition(f"{IN_FLIGHT}{period}", in_flight, TTL_S), Addition(f"{LIMIT}{period}", limit, TTL_S)]
        )


async def current(expiring: Expiring, now: float) -> Load:
    """Load in the last whole period."""
    period = int(now / PERIOD_S) - 1
    requests = await expiring.total(f"{IN_FLIGHT}{period}")
    return Load(requests, await expiring.total(f"{LIMIT}{period}")) if requests else IDLE


def places(settings: BatchSettings, load: Load | None, quiet_for_s: float) -> Places:
    """Places at this load; None: it is not known. `quiet_for_s`: time since other requests were in progress."""
    if load is None:
        return Places(settings.min_concurrent, settings.rest_s)
    if quiet_for_s >= settings.quiet_s:
        return Places(settings.max_concurrent, 0.0)
    beside = 0 if load.share >= settings.max_load else int(settings.max_beside * load.requests)
    if beside < max(1, settings.min_concurrent):
        return Places(settings.min_concurrent, settings.rest_s)
    return Places(min(beside, settings.max_concurrent), 0.0)


async def report_always(expiring: Expiring, in_flight: Callable[[], int], limit: int) -> None:
    """Report every 2 s the most requests that were in progress. While the store is away nothing is reported."""
    peak = in_flight()
    while True:
        with suppress(StoreUnavailable):
            await report(expiring, peak, limit, time.time())
        peak = 0
        for _ in range(SAMPLES):
            await asyncio.sleep(PERIOD_S / SAMPLES)
            peak = max(peak, in_flight())
