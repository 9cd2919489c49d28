"""The end of a server on this machine, with the real HAProxy."""

import asyncio
from pathlib import Path

import pytest

from deployments.cluster.draining import drain, proxy_folder
from tests.support.haproxy import proxied
from tests.unit.deployments.cluster.haproxy.test_program import Answering, Silent


def test_the_folder_is_that_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_SERVE_HAPROXY_CONFIG_FILE_LOC", raising=False)
    assert proxy_folder("node") == Path("/tmp/haproxy-serve/node")
    monkeypatch.setenv("RAY_SERVE_HAPROXY_CONFIG_FILE_LOC", "/run/x/haproxy.cfg")
    assert proxy_folder("node") == Path("/run/x/node")


async def test_answers_in_progress_come_and_no_other_begins(tmp_path: Path) -> None:
    lines: list[str] = []
    async with proxied(tmp_path, {"a": Answering(wait_s=1.0)}) as proxy:
        asked = [asyncio.create_task(proxy.get()) for _ in range(20)]
        await asyncio.sleep(0.3)
        await asyncio.to_thread(drain, tmp_path, 30.0, lines.append)
        assert [response.status_code for response in await asyncio.gather(*asked)] == [200] * 20
        assert await asyncio.wait_for(proxy.process.wait(), 30) == 0
    assert len(lines) <= 1


async def test_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    lines: list[str] = []
    async with proxied(tmp_path, {"a": Silent()}) as proxy:
        asked = asyncio.create_task(proxy.get())
        await asyncio.sleep(0.3)
        await asyncio.to_thread(drain, tmp_path, 1.0, lines.append)
        asked.cancel()
    assert lines == ["Waiting up to 1 s for the answers in progress; Ctrl-C ends them."]


def test_without_haproxy_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    drain(tmp_path / "none", 30.0, pytest.fail)
    drain(tmp_path, 30.0, pytest.fail)
