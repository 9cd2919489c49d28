"""A node's requests in progress and the end of its HAProxy, which is the real one."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from deployments.cluster.haproxy import node
from deployments.cluster.proxy import drain_proxy, proxy_folder, proxy_is_idle
from tests.support.haproxy import START_S, ask_admin, proxied, stopped, until
from tests.support.orchestrators import Gate, Silent


def test_the_folder_is_that_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_SERVE_HAPROXY_CONFIG_FILE_LOC", raising=False)
    assert proxy_folder("node") == Path("/tmp/haproxy-serve/node")
    monkeypatch.setenv("RAY_SERVE_HAPROXY_CONFIG_FILE_LOC", "/run/x/haproxy.cfg")
    assert proxy_folder("node") == Path("/run/x/node")


async def test_answers_in_progress_come_and_no_other_begins(tmp_path: Path) -> None:
    lines: list[str] = []
    gate = Gate()
    async with proxied(tmp_path, {"a": gate}) as proxy:
        asked = [asyncio.create_task(proxy.get("/slow")) for _ in range(20)]
        assert await until(lambda: gate.waiting == 20)
        draining = asyncio.create_task(asyncio.to_thread(drain_proxy, tmp_path, START_S, lines.append))
        assert await until(partial(refused, proxy.front))
        assert not draining.done()
        gate.opened.set()
        assert [response.status_code for response in await asyncio.gather(*asked)] == [200] * 20
        await draining
        assert await asyncio.wait_for(proxy.process.wait(), START_S) == 0
    assert len(lines) <= 1


async def refused(port: int) -> bool:
    """True if nothing listens on the port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


async def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    silent = Silent()
    async with proxied(tmp_path, {"a": silent}) as proxy:
        asked = asyncio.create_task(proxy.get())
        assert await until(lambda: silent.arrived == 1)
        monkeypatch.setattr("deployments.cluster.proxy.time", Clock())
        await asyncio.to_thread(drain_proxy, tmp_path, 1.0, lines.append)
        asked.cancel()
    assert lines == ["Waiting up to 1 s for the answers in progress; Ctrl-C ends them."]


def test_without_haproxy_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    drain_proxy(tmp_path / "none", 30.0, pytest.fail)
    drain_proxy(tmp_path, 30.0, pytest.fail)


async def test_a_node_is_idle_without_requests_and_not_with_one(tmp_path: Path) -> None:
    assert proxy_is_idle(tmp_path / "none")
    assert proxy_is_idle(tmp_path)
    silent = Silent()
    async with proxied(tmp_path, {"a": silent}) as proxy:
        assert proxy_is_idle(tmp_path)
        _, kept = await asyncio.open_connection("127.0.0.1", proxy.front)  # sends nothing
        asked = asyncio.create_task(proxy.get())
        assert await until(lambda: silent.arrived == 1)
        assert not proxy_is_idle(tmp_path)
        asked.cancel()
        assert await until(lambda: proxy_is_idle(tmp_path)), "with a connection that waits for a request"
        kept.close()


async def test_a_body_that_is_still_coming_is_a_request(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": Silent()}) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.front)
        writer.write(b"POST / HTTP/1.1\r\nhost: front\r\ncontent-length: 50\r\n\r\nbegun")
        assert await until(lambda: not proxy_is_idle(tmp_path))
        writer.close()
        assert await until(lambda: proxy_is_idle(tmp_path))


async def test_a_replaced_haproxy_counts_until_its_last_answer(tmp_path: Path) -> None:
    silent = Silent()
    async with proxied(tmp_path, {"a": silent}) as proxy:
        asked = asyncio.create_task(proxy.get())
        assert await until(lambda: silent.arrived == 1)
        other = await proxy.again("-sf", str(proxy.process.pid))
        try:
            assert "fe=http_frontend" not in await ask_admin(str(tmp_path / "own.sock"), "show sess")
            assert not proxy_is_idle(tmp_path)
            asked.cancel()
            assert await until(lambda: proxy_is_idle(tmp_path))
        finally:
            await stopped(other.process)


async def test_idle_connections_do_not_keep_a_replaced_haproxy(tmp_path: Path) -> None:
    """With the chart's variable RAY_SERVE_HAPROXY_CLOSE_SPREAD_TIME_S; without it they would until the hard stop."""
    async with proxied(tmp_path, {"a": Silent()}, close_spread_time_s=1) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.front)
        writer.write(b"GET /-/healthz HTTP/1.1\r\nhost: front\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")  # kept for the next request
        other = await proxy.again("-sf", str(proxy.process.pid))
        try:
            assert await until(lambda: proxy_is_idle(tmp_path))
        finally:
            writer.close()
            await stopped(other.process)


async def test_a_haproxy_that_does_not_answer_is_not_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "TIMEOUT_S", 0.1)
    async with proxied(tmp_path, {"a": Silent()}) as proxy:
        os.kill(proxy.haproxy, signal.SIGSTOP)
        try:
            assert await until(lambda: not proxy_is_idle(tmp_path))  # its threads stop one after the other
        finally:
            os.kill(proxy.haproxy, signal.SIGCONT)
        assert await until(lambda: proxy_is_idle(tmp_path))
