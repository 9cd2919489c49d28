"""Callers in a closed loop, and the record of how their requests ended."""

import asyncio
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from loadtest.bench.client import ask
from loadtest.results.exchange import Exchange
from loadtest.torture.stage import TEAM, chat

REFUSED = "connection: ClientConnectorError"  # nothing was sent
# Status and code, as `loadtest.results.exchange_builder` names them.
TYPED = re.compile(r"\d{3} \w+")
RETRY = re.compile(r"(429|503) \w+")
PAUSE_S = 0.1  # after a failure, as a client waits


@dataclass
class Record:
    """Exchanges of callers of one kind, whole or streamed."""

    streamed: bool
    ended: list[tuple[float, Exchange]] = field(default_factory=list)  # with the time of the end

    @property
    def answered(self) -> int:
        """Complete answers."""
        return sum(one.error is None for _, one in self.ended)

    @property
    def degraded(self) -> int:
        """Complete answers that say that something is missing."""
        return sum(one.error is None and one.degraded for _, one in self.ended)

    def errors(self) -> Counter[str]:
        """Failures by kind."""
        return Counter(one.error for _, one in self.ended if one.error is not None)

    def lost(self) -> Counter[str]:
        """Failures beside those that a client can act on: see `explicit`."""
        return Counter({kind: count for kind, count in self.errors().items() if not explicit(kind, self.streamed)})

    def gap_s(self, since: float) -> float:
        """Longest time without the end of a complete answer, from `since` on; without any, up to now."""
        ends = [since, *sorted(at for at, one in self.ended if one.error is None and at > since)]
        ends += [time.monotonic()] if len(ends) == 1 else []
        return max(later - earlier for earlier, later in pairwise(ends))

    def refused_s(self, since: float) -> float:
        """Time from the first to the last refused connection after `since`."""
        times = [at for at, one in self.ended if one.error == REFUSED and at > since]
        return max(times) - min(times) if times else 0.0


def explicit(kind: str, streamed: bool) -> bool:
    """True for a failure that a client can act on.

    That is a connection that was refused before anything was sent, and a typed error that says to retry (429, 503).
    Of a stream it is any typed error, and a connection that breaks; an orderly end before the answer's is not.
    """
    if kind == REFUSED:
        return True
    if streamed and (kind.startswith("connection: ") or TYPED.fullmatch(kind)):
        return True
    return RETRY.fullmatch(kind) is not None


async def call(url: str, streamed: bool, record: Record, number: int) -> None:
    """Ask the team once, over a connection of its own."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http:
        extra = {"stream_options": {"include_usage": True}} if streamed else {}
        done = await ask(http, url, chat(TEAM, f"question {number}", stream=streamed, **extra))
        record.ended.append((time.monotonic(), done.exchange))
        if done.exchange.error is not None:
            await asyncio.sleep(PAUSE_S)


async def keep_calling(url: str, record: Record, until: asyncio.Event, number: int) -> None:
    """Ask again and again until `until` is set."""
    asked = 0
    while not until.is_set():
        await call(url, record.streamed, record, number * 100_000 + asked)
        asked += 1
