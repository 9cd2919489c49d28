"""Time that limits add to a request: `python -m loadtest.limits_cost`.

Measured in one process, in memory, with a trivial engine of one token: a key without limits, a key with limits and no
store, and one with limits and budgets in SQLite. With MOA_DATABASE_URL or MOA_REDIS_URL those servers are used. Per
request it prints the median time of requests one after the other, and the CPU time of this process.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from starlette.types import ASGIApp

from loadtest.api_cost import TrivialEngine, call
from serving.api import ApiSettings, create_app
from serving.api.limit_settings import KeyLimits
from serving.cards import ModelCard
from serving.command_line import CommandLine, at_least
from serving.store.settings import StoreSettings
from serving.store.store import Store

MOST = 10**9  # of a limit that is never reached
LIMITS = KeyLimits(
    requests_per_minute=MOST,
    tokens_per_minute=MOST,
    concurrent_requests=MOST,
    tokens_per_day=MOST,
    tokens_per_month=MOST,
)


def app_of(limits: KeyLimits, store: Store | None) -> ASGIApp:
    """The API with limits for all callers."""
    settings = ApiSettings(limits=limits)
    return create_app({"m": TrivialEngine(1, False)}, [ModelCard("m", "model")], settings, store=store)


async def measured(app: Any, requests: int) -> tuple[float, float]:
    """Median time of a request in milliseconds, and its CPU time."""
    async with app.router.lifespan_context(app):
        await call(app, False)
        times = []
        cpu_began = time.process_time()
        for _ in range(requests):
            began = time.perf_counter()
            await call(app, False)
            times.append(time.perf_counter() - began)
        return median(times) * 1e3, (time.process_time() - cpu_began) / requests * 1e3


async def compare(requests: int) -> None:
    """Print the times of all ways."""
    print(f"{'':<36}{'ms per request':>16}{'ms of CPU':>12}")
    settings = StoreSettings()
    with tempfile.TemporaryDirectory() as folder:
        ways: list[tuple[str, KeyLimits, dict[str, str] | None]] = [
            ("no limits", KeyLimits(), {}),
            ("limits, no store", LIMITS, None),
            ("limits, SQLite", LIMITS, {}),
        ]
        for variable in (settings.database_env, settings.redis_env):
            if address := os.environ.get(variable):
                ways.append((f"limits, {address.partition(':')[0]}", LIMITS, {variable: address}))
        for number, (name, limits, environment) in enumerate(ways):
            own = StoreSettings(path=str(Path(folder) / f"{number}.sqlite"), timeout_s=20)
            store = None if environment is None else Store(own, environment=environment)
            ms, cpu_ms = await measured(app_of(limits, store), requests)
            print(f"{name:<36}{ms:>16.3f}{cpu_ms:>12.3f}")


def main() -> int:
    """Run the command."""
    parser = CommandLine(prog="python -m loadtest.limits_cost", description=__doc__)
    parser.add_argument("--requests", type=at_least(1, int, 100_000), default=500, help="requests of each way")
    asyncio.run(compare(parser.parse_args().requests))
    return 0


if __name__ == "__main__":
    sys.exit(main())
