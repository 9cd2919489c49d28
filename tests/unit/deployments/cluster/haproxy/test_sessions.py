"""Sessions through HAProxy, in front of three orchestrators: they stay, load and losses are honoured."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from tests.support.haproxy import Proxy, proxied

NAMES = ("a", "b", "c")


class Orchestrator:
    """Answers with its name; `/hang` never ends."""

    def __init__(self, name: str) -> None:
        self.name, self.hanging = name, 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/hang" in head:
                self.hanging += 1
                await reader.read()
            else:
                answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n" + self.name.encode()
                writer.write(answer)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def three(folder: Path, order: tuple[str, ...] = NAMES) -> AsyncIterator[tuple[Proxy, dict[str, Orchestrator]]]:
    orchestrators = {name: Orchestrator(name) for name in order}
    async with proxied(folder, dict(orchestrators)) as proxy:
        yield proxy, orchestrators


async def ask(proxy: Proxy, session: str | None, header: str = "X-Session-ID") -> str:
    return (await proxy.get(headers={} if session is None else {header: session})).text


@asynccontextmanager
async def hanging(
    proxy: Proxy, orchestrators: Mapping[str, Orchestrator], requests: int, headers: Mapping[str, str]
) -> AsyncIterator[dict[str, int]]:
    """Number of requests that hang on each orchestrator, `requests` in all."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=60) as client:
        tasks = [asyncio.create_task(client.get(f"{proxy.url}/hang", headers=headers)) for _ in range(requests)]
        for _ in range(1000):
            counts = {name: one.hanging for name, one in orchestrators.items()}
            if sum(counts.values()) == requests:
                break
            await asyncio.sleep(0.02)
        try:
            yield counts
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_session_stays_with_its_orchestrator_and_sessions_spread(tmp_path: Path) -> None:
    async with three(tmp_path) as (proxy, _):
        first = {f"s{number}": await ask(proxy, f"s{number}") for number in range(12)}
        assert set(first.values()) == set(NAMES)
        assert {session: await ask(proxy, session) for session in first} == first
        assert [await ask(proxy, session, "x-claude-code-session-id") for session in first] == [*first.values()]


async def test_the_proxies_of_all_nodes_choose_the_same(tmp_path: Path) -> None:
    for name in "12":
        (tmp_path / name).mkdir()
    async with three(tmp_path / "1") as (one, _), three(tmp_path / "2", ("c", "a", "b")) as (other, _):
        sessions = [f"s{number}" for number in range(8)]
        assert [await ask(one, session) for session in sessions] == [await ask(other, session) for session in sessions]


async def test_requests_without_a_session_go_where_the_fewest_are(tmp_path: Path) -> None:
    async with three(tmp_path) as (proxy, orchestrators):
        for session in (None, ""):
            assert {await ask(proxy, session) for _ in range(9)} == set(NAMES)
        async with hanging(proxy, orchestrators, 2, {}) as counts:
            assert sorted(counts.values()) == [0, 1, 1]
            assert counts[await ask(proxy, None)] == 0


async def test_an_orchestrator_with_far_more_requests_than_the_mean_gets_no_more_of_them(tmp_path: Path) -> None:
    async with three(tmp_path) as (proxy, orchestrators):
        own = await ask(proxy, "s")
        async with hanging(proxy, orchestrators, 80, {"X-Session-ID": "s"}) as counts:
            assert sum(counts.values()) == 80
            assert 40 < counts[own] <= 80 / 3 + 33


async def test_the_sessions_of_a_lost_orchestrator_go_to_others(tmp_path: Path) -> None:
    async with three(tmp_path) as (proxy, _):
        own = await ask(proxy, "s")
        proxy.servers[own].close()
        await proxy.servers[own].wait_closed()
        assert await ask(proxy, "s") in set(NAMES) - {own}
