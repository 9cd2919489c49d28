"""Memory over many requests on scripted engines, in this process: its slope with a confidence interval."""

import asyncio
import gc
import json
from functools import partial
from typing import Any

import psutil
from scipy import stats
from starlette.types import ASGIApp

from loadtest.torture.effort import Effort
from loadtest.torture.row import Row
from loadtest.torture.stage import TEAM, app_of, chat, orchestrate, post, trio

AT_ONCE = 16
SAMPLES = 50  # of memory, over the run
WARM = 0.4  # share of the run before which caches still fill
NOISE_BYTES = 16  # per request: less than any object


async def call(app: ASGIApp, body: dict[str, Any]) -> int:
    """Send one request in memory; return the status."""
    status, _ = await post(app, "/v1/chat/completions", json.dumps(body).encode())
    return status


def body_of(number: int) -> dict[str, Any]:
    """Every 25th request is a team's, every second streamed, every tenth refused; texts are all different."""
    model = TEAM if number % 25 == 0 else "a"
    extra = {"no_such_field": number} if number % 10 == 1 else {}
    return chat(model, f"question {number}", stream=bool(number % 2), user=f"user {number}", **extra)


async def measure(effort: Effort) -> list[Row]:
    """Measure the slope of resident memory against requests."""
    count = effort.count(100_000, 4000)
    app = app_of(orchestrate(trio()))
    process = psutil.Process()
    step = count // SAMPLES
    requests: list[int] = []
    resident: list[int] = []
    unexpected = 0
    for first in range(0, count, step):
        for begin in range(first, first + step, AT_ONCE):
            numbers = range(begin, min(begin + AT_ONCE, first + step))
            statuses = await asyncio.gather(*map(partial(call, app), map(body_of, numbers)))
            unexpected += sum(
                status != (400 if number % 10 == 1 else 200) for number, status in zip(numbers, statuses, strict=True)
            )
        gc.collect()
        requests.append(first + step)
        resident.append(process.memory_info().rss)
        effort.say(f"{requests[-1]:,} of {count:,} requests, {resident[-1] / 2**20:.0f} MiB")
    settled = int(SAMPLES * WARM)
    slope, _, low, high = stats.theilslopes(resident[settled:], requests[settled:], 0.95)
    bounded = low <= 0 or slope < NOISE_BYTES
    return [
        Row(
            f"Memory does not grow with requests ({count:,}: one in 25 a team's, half streamed, a tenth refused)",
            f"{slope:.1f} bytes per request, 95% interval [{low:.1f}, {high:.1f}]; {resident[-1] / 2**20:.0f} MiB at"
            f" the end; {unexpected} unexpected statuses",
            f"0 within the interval, or below {NOISE_BYTES} bytes",
            bounded and not unexpected,
        )
    ]
