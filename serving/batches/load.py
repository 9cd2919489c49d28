"""Load of the orchestrators, which they report in the store and the worker of batches reads."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from serving.batches.settings import BatchSettings
from serving.store.counters import Addition
from serving.store.errors import StoreUnavailable
from serving.store.expiring import Expiring

PERIOD_S = 2.0
TTL_S = 5 * PERIOD_S
IN_FLIGHT, LIMIT = "batch-load:requests:", "batch-load:limit:"


async def report(expiring: Expiring, in_flight: int, limit: int, now: float) -> None:
    """Add the requests of one orchestrator to those of the current period. Without requests nothing is written."""
    if in_flight:
        period = int(now / PERIOD_S)
        await expiring.add_all(
            [Addition(f"{IN_FLIGHT}{period}", in_flight, TTL_S), Addition(f"{LIMIT}{period}", limit, TTL_S)]
        )


async def share(expiring: Expiring, now: float) -> float:
    """Requests in progress in the last whole period, as a share of what those orchestrators admit."""
    period = int(now / PERIOD_S) - 1
    requests = await expiring.total(f"{IN_FLIGHT}{period}")
    return requests / max(await expiring.total(f"{LIMIT}{period}"), 1.0) if requests else 0.0


def places(settings: BatchSettings, load: float | None) -> int:
    """Lines that may be in progress at this load; None: it is not known."""
    if load is None:
        return settings.min_concurrent
    free = max(0.0, 1.0 - load / settings.max_load)
    return max(settings.min_concurrent, int(settings.max_concurrent * free))


async def report_always(expiring: Expiring, in_flight: Callable[[], int], limit: int) -> None:
    """Report every 2 s. While the store is away nothing is reported."""
    while True:
        with suppress(StoreUnavailable):
            await report(expiring, in_flight(), limit, time.time())
        await asyncio.sleep(PERIOD_S)
