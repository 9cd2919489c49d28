"""Overload: requests on a schedule at a multiple of what the server can answer, and the time until it has recovered."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from loadtest.bench.client import session
from loadtest.bench.contenders import plain_environment
from loadtest.bench.processes import HOST, server
from loadtest.torture.effort import Effort
from loadtest.torture.row import Row, quantile, quantiles
from loadtest.torture.stage import chat
from loadtest.traffic.arrivals import poisson
from serving.ports import free_port

IN_FLIGHT = 32
ANSWER_S = 0.5
CAPACITY_PER_S = IN_FLIGHT / ANSWER_S
REJECT_S = 0.05
RECOVERY_S = 2.0
LEAST_GOODPUT = 0.9  # of the capacity
MODEL = "scripted-a"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer or refusal, as the client saw it."""

    status: int  # 0: none
    seconds: float
    retry_after: str | None
    lag_s: float = 0.0  # delay of the load generator itself


@asynccontextmanager
async def scripted_server(log: Path, in_flight: int, answer_s: float) -> AsyncGenerator[tuple[str, int], None]:
    """Run a server in a process of its own while the block runs; yield its URL and process id."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    timing = ["--ttft-s", str(answer_s), "--itl-s", "0", "--tokens", "4", "--max-in-flight", str(in_flight)]
    command = [sys.executable, "-m", "serving.demo", "--port", str(port), *timing]
    async with server(command, plain_environment({}), log, f"{url}/ready", 60) as pid:
        yield url, pid


async def ask(http: aiohttp.ClientSession, url: str, text: str, lag_s: float = 0.0) -> Reply:
    """Ask a single model; a broken connection is status 0."""
    began = time.perf_counter()
    try:
        async with http.post(f"{url}/v1/chat/completions", json=chat(MODEL, text, temperature=1)) as response:
            await response.read()
            return Reply(response.status, time.perf_counter() - began, response.headers.get("retry-after"), lag_s)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return Reply(0, time.perf_counter() - began, None, lag_s)


async def flood(http: aiohttp.ClientSession, url: str, rate_per_s: float, seconds: float) -> list[Reply]:
    """Send requests with Poisson arrivals, whether or not others were answered."""
    replies: list[asyncio.Task[Reply]] = []
    began = time.perf_counter()
    for number, at_s in enumerate(poisson(rate_per_s, seconds, random.Random(0))):
        if (wait_s := began + at_s - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        lag_s = max(0.0, time.perf_counter() - began - at_s)
        replies.append(asyncio.create_task(ask(http, url, f"question {number}", lag_s)))
    return await asyncio.gather(*replies)


async def recovery_s(http: aiohttp.ClientSession, url: str) -> float:
    """Seconds from now until ten requests in a row are answered as on an idle server."""
    began = time.perf_counter()
    well_since, well = began, 0
    while well < 10:
        asked = time.perf_counter()
        reply = await ask(http, url, f"after {asked}")
        good = reply.status == 200 and reply.seconds < ANSWER_S * 1.5
        well_since, well = (well_since if well else asked, well + 1) if good else (asked, 0)
        if asked - began > 30:
            return 30.0
    return well_since - began


async def measure(effort: Effort) -> list[Row]:
    """Measure three rows at twice and at eight times the capacity."""
    rows = []
    seconds = effort.count(15, 3)
    for times in (2, 8):
        log = effort.out / f"overload-{times}.log"
        async with scripted_server(log, IN_FLIGHT, ANSWER_S) as (url, _), session() as http:
            await ask(http, url, "warm")
            effort.say(f"{times} times the capacity of {CAPACITY_PER_S:.0f} requests/s")
            replies = await flood(http, url, times * CAPACITY_PER_S, seconds)
            recovered_s = await recovery_s(http, url)
        rows += judged(times, replies, seconds, recovered_s)
    return rows


def judged(times: int, replies: Sequence[Reply], seconds: float, recovered_s: float) -> list[Row]:
    """Rows of one flood."""
    answered = [reply for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status == 429]
    other = len(replies) - len(answered) - len(refused)
    goodput = len(answered) / seconds / CAPACITY_PER_S  # those admitted until the end
    without = sum(reply.retry_after is None for reply in refused)
    refused_s = [reply.seconds for reply in refused] or [0.0]
    lag_s = quantile([reply.lag_s for reply in replies], 0.99)
    at_once = quantile(refused_s, 0.99) <= REJECT_S
    idle = at_once or lag_s <= REJECT_S  # a load generator that is late itself cannot say that the server was
    what = f"At {times} times its capacity the server"
    return [
        Row(
            f"{what} answers as much as it can, and refuses the rest",
            f"{goodput:.0%} of {CAPACITY_PER_S:.0f} requests/s answered; {len(answered)} answered,"
            f" {len(refused)} refused with 429, {other} otherwise",
            f"{LEAST_GOODPUT:.0%}; none otherwise",
            goodput >= LEAST_GOODPUT and not other,
        ),
        Row(
            f"{what} refuses at once, with Retry-After",
            f"{quantiles(refused_s)}; without the header: {without} of {len(refused)}",
            f"p99 {REJECT_S * 1000:.0f} ms on an idle core; none without",
            at_once and not without if idle or without else None,
            f"{psutil.getloadavg()[0]:.1f} processes were ready to run on {psutil.cpu_count()} cores; the load"
            f" generator's own delay was {lag_s * 1000:.0f} ms at p99{'' if idle else ': no core was idle'}",
        ),
        Row(
            f"{what} recovers when the load ends",
            f"answers as when idle after {recovered_s:.2f} s",
            f"{RECOVERY_S:.0f} s",
            recovered_s <= RECOVERY_S,
        ),
    ]
