"""Processes killed under load, one after the other: what callers notice, and for how long."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from loadtest.torture.callers import Record, call, keep_calling
from loadtest.torture.effort import Effort
from loadtest.torture.ray_server import RayServer, ray_server
from loadtest.torture.row import Row

CALLERS = 6  # of each kind
BEFORE_S = 3.0
MOST_REFUSED_S = 2.0
LOOKS = 30  # for a process
MOST_WAIT_S = 90.0  # for the server to be as before


@dataclass(frozen=True, slots=True)
class Victim:
    """Kind of process to kill."""

    name: str
    word: str  # in its command line
    after_s: float = 8.0  # of load after the kill
    reason: str = ""  # why answers may be lost


VICTIMS: tuple[Victim, ...] = (
    Victim("one of two replicas of a model", "model:a"),
    Victim("the only replica of a model", "model:b"),
    Victim("one of two orchestrators", "default:ingress"),
    Victim("the Serve controller", "ServeController", 12.0),
    Victim("HAProxy", "haproxy", 12.0),
)
GCS = Victim(
    "Ray's GCS",
    "gcs_server",
    75.0,  # Ray's processes wait for it for 60 s
    "Without Redis, which the chart has, Ray ends every process of the server after 60 s: the requests in progress then"
    " have nobody to answer them",
)


def kill(server: RayServer, victim: Victim) -> bool:
    """Kill the first process of the kind; False if there is none. One that changes its title has none for a moment."""
    for _ in range(LOOKS):
        for process in server.find(victim.word):
            try:
                process.kill()
            except psutil.Error:
                continue
            return True
        time.sleep(0.1)
    return False


async def settled(server: RayServer) -> bool:
    """Wait until ten requests in a row are answered, none of them degraded; False after `MOST_WAIT_S`."""
    ends = time.monotonic() + MOST_WAIT_S
    while time.monotonic() < ends:
        record = Record(False)
        for number in range(10):
            await call(server.url, False, record, number)
            if record.errors():
                break
        if record.answered == 10 and not record.degraded:
            return True
    return False


async def one_death(server: RayServer, victim: Victim) -> tuple[Record, Record, float, bool]:
    """Records of whole and streamed answers around the kill, its time, and True if there was such a process."""
    records = Record(False), Record(True)
    over = asyncio.Event()
    callers = [
        asyncio.create_task(keep_calling(server.url, record, over, number))
        for record in records
        for number in range(CALLERS)
    ]
    await asyncio.sleep(BEFORE_S)
    killed_at = time.monotonic()
    found = await asyncio.to_thread(kill, server, victim)
    await asyncio.sleep(victim.after_s)
    over.set()
    await asyncio.gather(*callers)
    return *records, killed_at, found


async def measure(effort: Effort) -> list[Row]:
    """Measure two rows per kind of process, one after the other in one server."""
    return await _deaths(effort, "deaths.log", VICTIMS)


async def measure_gcs(effort: Effort) -> list[Row]:
    """Measure two rows for the process that a cluster of one node may not survive, in a server of its own."""
    return await _deaths(effort, "gcs.log", (GCS,))


async def _deaths(effort: Effort, log: str, victims: Sequence[Victim]) -> list[Row]:
    rows: list[Row] = []
    async with ray_server(effort.out / log) as server:
        for victim in victims:
            effort.say(f"killing {victim.name}")
            if not await settled(server):
                rows.append(Row(f"kill -9 of {victim.name}", "not killed", "", None, "The server had not recovered."))
                continue
            whole, streamed, killed_at, found = await one_death(server, victim)
            rows += judged(victim, whole, streamed, killed_at, found)
    return rows


def judged(victim: Victim, whole: Record, streamed: Record, killed_at: float, found: bool) -> list[Row]:
    """Rows of one kind of process."""
    what = f"kill -9 of {victim.name}"
    if not found:
        return [Row(what, "not killed", "", None, "There is no such process in this server.")]
    lost = bool(whole.lost())
    refused_s = max(whole.refused_s(killed_at), streamed.refused_s(killed_at))
    return [
        Row(
            f"{what}: no whole answer is lost",
            f"{_counts(whole)}; longest time without an answer {whole.gap_s(killed_at):.1f} s; connections refused for"
            f" {refused_s:.1f} s",
            f"0 lost; connections refused for at most {MOST_REFUSED_S:.0f} s",
            not lost and whole.answered > 0 and refused_s <= MOST_REFUSED_S,
            ". ".join(text for text in (_listed(whole), victim.reason if lost else "") if text),
        ),
        Row(
            f"{what}: each stream ends with its answer or an explicit error",
            _counts(streamed),
            "0 that end silently",
            not streamed.lost() and streamed.answered > 0,
            _listed(streamed),
        ),
    ]


def _counts(record: Record) -> str:
    return (
        f"{len(record.ended)} requests, {record.answered} answered ({record.degraded} declared degraded),"
        f" {sum(record.lost().values())} lost"
    )


def _listed(record: Record) -> str:
    errors: Sequence[tuple[str, int]] = record.errors().most_common()
    return "; ".join(f"{count} x {kind}" for kind, count in errors)
