"""SIGTERM with 200 requests in flight."""

import asyncio
import signal

import psutil

from loadtest.torture.callers import Record, call
from loadtest.torture.effort import Effort
from loadtest.torture.overload import scripted_server
from loadtest.torture.ray_server import ray_server
from loadtest.torture.row import Row
from loadtest.torture.stage import TEAM

IN_FLIGHT = 200
ANSWER_S = 1.5  # longer than it takes to send all


async def in_flight(url: str, pid: int, number: signal.Signals) -> tuple[Record, Record]:
    """Send 200 requests, half streamed, then the signal; the records of how they ended."""
    records = Record(False), Record(True)
    asked = [
        asyncio.create_task(call(url, record.streamed, record, count))
        for record in records
        for count in range(IN_FLIGHT // 2)
    ]
    await asyncio.sleep(ANSWER_S * 0.7)
    psutil.Process(pid).send_signal(number)
    await asyncio.gather(*asked)
    return records


async def measure(effort: Effort) -> list[Row]:
    """Measure the API's own server and, unless the run is short, the whole server on Ray."""
    effort.say("the API's own server")
    async with scripted_server(effort.out / "termination-api.log", 1024, ANSWER_S) as (url, pid):
        rows = [judged("the API's own server (python -m serving.demo)", *await in_flight(url, pid, signal.SIGTERM))]
    if not effort.short:
        effort.say("the server on Ray")
        async with ray_server(effort.out / "termination.log", tokens=20, itl_s=ANSWER_S / 10) as server:
            await call(server.url, False, Record(False), 0)
            # `python -m deployments.start` passes a SIGTERM on as SIGINT.
            rows.append(judged("the server on Ray", *await in_flight(server.url, server.pid, signal.SIGINT)))
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
