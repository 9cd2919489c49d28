"""SIGTERM with 200 requests in flight."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from functools import partial

import psutil

from loadtest.bench.client import session
from loadtest.torture.callers import Record, call
from loadtest.torture.effort import Effort
from loadtest.torture.overload import scripted_server
from loadtest.torture.ray_server import ray_server
from loadtest.torture.row import Row
from loadtest.torture.stage import TEAM

IN_FLIGHT = 200
ANSWER_S = 4.0  # of a model, half of a team's: longer than it takes to send all
GIVE_UP_S = 30.0  # for all requests to be in progress


async def full(url: str) -> None:
    """Return when a server whose limit is 200 requests in progress refuses one more, before it looks at the body."""
    async with asyncio.timeout(GIVE_UP_S), session() as http:
        status = 0
        while status != 429:
            async with http.post(f"{url}/v1/chat/completions", json={}) as response:
                status = response.status


async def in_flight(
    url: str, pid: int, number: signal.Signals, begun: Callable[[], Awaitable[object]]
) -> tuple[Record, Record]:
    """Send 200 requests, half streamed, and the signal when they have `begun`; the records of how they ended."""
    records = Record(False), Record(True)
    asked = [
        asyncio.create_task(call(url, record.streamed, record, count))
        for record in records
        for count in range(IN_FLIGHT // 2)
    ]
    await begun()
    psutil.Process(pid).send_signal(number)
    await asyncio.gather(*asked)
    return records


async def measure(effort: Effort) -> list[Row]:
    """Measure the API's own server and, unless the run is short, the whole server on Ray."""
    effort.say("the API's own server")
    async with scripted_server(effort.out / "termination-api.log", IN_FLIGHT, ANSWER_S) as (url, pid):
        records = await in_flight(url, pid, signal.SIGTERM, partial(full, url))
        rows = [judged("the API's own server (python -m serving.demo)", *records)]
    if not effort.short:
        effort.say("the server on Ray")
        async with ray_server(effort.out / "termination.log", tokens=20, itl_s=ANSWER_S / 20) as server:
            await call(server.url, False, Record(False), 0)
            # `python -m deployments.start` passes a SIGTERM on as SIGINT.
            records = await in_flight(server.url, server.pid, signal.SIGINT, partial(asyncio.sleep, ANSWER_S))
            rows.append(judged("the server on Ray", *records))
    return rows


def judged(what: str, whole: Record, streamed: Record) -> Row:
    """Row of one server."""
    answered = whole.answered + streamed.answered
    errors = whole.errors() + streamed.errors()
    return Row(
        f"SIGTERM with {IN_FLIGHT} requests of `{TEAM}` in flight ends {what} after their answers",
        f"{answered} of {len(whole.ended) + len(streamed.ended)} answered, {sum(errors.values())} lost",
        "0 lost",
        not errors and answered == IN_FLIGHT,
        "; ".join(f"{count} x {kind}" for kind, count in errors.most_common()),
    )
