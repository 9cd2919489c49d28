"""Abusive bodies: their status, time and memory, and what they cost a neighbour."""

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial

import aiohttp
import psutil

from loadtest.bench.client import session
from loadtest.torture.abusive_bodies import Abuse, corpus
from loadtest.torture.effort import Effort
from loadtest.torture.overload import ask, scripted_server
from loadtest.torture.row import Row, quantile, quantiles

MOST_S = 1.0  # of one refusal
MOST_GROWTH_BYTES = 64 * 2**20  # of the server, over the whole corpus
ANSWER_S = 0.05  # of a canary
CANARY_EVERY_S = 0.05
CANARY_MORE_S = 0.25  # of the neighbour's p99, above that without abuse
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """Response to one abusive request."""

    name: str
    status: int  # 0: the connection was closed without an answer
    seconds: float


def prepared(abuse: Abuse) -> Abuse:
    """The request with its body made: making 4 MB takes 0.2 s, in which the neighbours of this process wait, too."""
    return replace(abuse, body=partial(bytes, abuse.body()))


async def send(http: aiohttp.ClientSession, url: str, abuse: Abuse) -> Refusal:
    """Send one request of the corpus."""
    body = abuse.body()
    began = time.perf_counter()
    try:
        async with http.post(url + abuse.path, data=body, headers=dict(abuse.headers)) as response:
            await response.read()
            return Refusal(abuse.name, response.status, time.perf_counter() - began)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return Refusal(abuse.name, 0, time.perf_counter() - began)


async def canary(http: aiohttp.ClientSession, url: str, until: asyncio.Event) -> list[float]:
    """Seconds of a neighbour's small requests, one at a time; a failed one counts as a minute."""
    found: list[float] = []
    while not until.is_set():
        reply = await ask(http, url, f"canary {len(found)}")
        found.append(reply.seconds if reply.status == 200 else 60.0)
        await asyncio.sleep(CANARY_EVERY_S)
    return found


async def beside(http: aiohttp.ClientSession, url: str, abuses: list[Abuse]) -> tuple[list[Refusal], list[float]]:
    """Send `abuses` one after the other, with canaries beside them; without any, for two seconds."""
    over = asyncio.Event()
    canaries = [asyncio.create_task(canary(http, url, over)) for _ in range(4)]
    refusals = [await send(http, url, abuse) for abuse in abuses]
    if not abuses:
        await asyncio.sleep(2)
    over.set()
    return refusals, [seconds for found in await asyncio.gather(*canaries) for seconds in found]


async def measure(effort: Effort) -> list[Row]:
    """Measure four rows over the corpus."""
    abuses = [prepared(abuse) for abuse in corpus()]
    async with scripted_server(effort.out / "abuse.log", 256, ANSWER_S) as (url, pid), session() as http:
        process = psutil.Process(pid)
        _, idle_s = await beside(http, url, [])
        await beside(http, url, abuses)  # the allocator's arenas grow once
        before = process.memory_info().rss
        refusals: list[Refusal] = []
        beside_s: list[float] = []
        for number in range(effort.count(ROUNDS, 1)):
            effort.say(f"{len(abuses)} bodies, round {number + 1}")
            got, seconds = await beside(http, url, abuses)
            refusals += got
            beside_s += seconds
        grown = process.memory_info().rss - before
    return judged(refusals, idle_s, beside_s, grown)


def judged(refusals: list[Refusal], idle_s: list[float], beside_s: list[float], grown: int) -> list[Row]:
    """Rows of the corpus."""
    wrong = {f"{one.name} ({one.status})" for one in refusals if not 400 <= one.status < 500}
    slowest = max(refusals, key=lambda one: one.seconds)
    late = {one.name for one in refusals if one.seconds > MOST_S}
    idle_p99_s, p99_s = quantile(idle_s, 0.99), quantile(beside_s, 0.99)
    count = len({one.name for one in refusals})
    return [
        Row(
            f"Each of {count} abusive bodies is refused with a 4xx status",
            f"{sum(400 <= one.status < 500 for one in refusals)} of {len(refusals)}",
            "all",
            not wrong,
            f"Otherwise: {'; '.join(sorted(wrong))}" if wrong else "",
        ),
        Row(
            "A refusal takes no longer than a second, its reading included",
            f"{quantiles([one.seconds for one in refusals])}; slowest: {slowest.name}",
            f"max {MOST_S:.0f} s",
            not late,
            f"Longer: {'; '.join(sorted(late))}" if late else "",
        ),
        Row(
            "Refused bodies leave no memory behind",
            f"{grown / 2**20:+.1f} MiB after {len(refusals)} bodies, the first round left out",
            f"{MOST_GROWTH_BYTES / 2**20:.0f} MiB",
            grown <= MOST_GROWTH_BYTES,
        ),
        Row(
            "A neighbour's small requests are answered beside them",
            f"p99 {p99_s * 1000:.0f} ms, {idle_p99_s * 1000:.0f} ms without; max {max(beside_s) * 1000:.0f} ms over"
            f" {len(beside_s)} requests",
            f"p99 {CANARY_MORE_S * 1000:.0f} ms more than without",
            p99_s - idle_p99_s <= CANARY_MORE_S,
        ),
    ]
