"""HAProxy as the server starts it, in front of three orchestrators: sessions stay, load and losses are honoured."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig

from deployments.cluster.environment import DEFAULTS
from tests.support.server import free_port

# The lines of Ray's configuration (ray/serve/_private/haproxy_templates.py) that choose a server.
CONFIG = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option redispatch 1
    balance leastconn
frontend front
    bind 127.0.0.1:{front}
    use_backend http-default if {{ path_beg / }}
backend default_backend
    http-request return status 404
backend http-default
    log global
    http-reuse always
    # Servers in this backend
{servers}
    # Fallback to head node's Serve proxy when no ingress replicas are available
    server SERVE_PROXY_ACTOR-1 127.0.0.1:1 check backup
backend http-default-via-ingress-request-router
    server SERVE_PROXY_ACTOR-1 127.0.0.1:1 track http-default/SERVE_PROXY_ACTOR-1 backup
"""
NAMES = ("a", "b", "c")


class Orchestrator:
    """Answers with its name; `/hang` never ends."""

    def __init__(self, name: str) -> None:
        self.name, self.hanging = name, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/hang" in head:
            self.hanging += 1
            await reader.read()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n" + self.name.encode())
            await writer.drain()
        writer.close()


class Proxy:
    """The proxy's URL, its configuration after the start, and the servers behind it by name."""

    def __init__(self, url: str, config: Path) -> None:
        self.url, self.config = url, config
        self.orchestrators: dict[str, Orchestrator] = {}
        self.servers: dict[str, asyncio.Server] = {}

    async def ask(self, session: str | None, header: str = "X-Session-ID") -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(self.url, headers={} if session is None else {header: session})).text


@asynccontextmanager
async def proxied(folder: Path, order: tuple[str, ...] = NAMES, *, sessions: str = "") -> AsyncIterator[Proxy]:
    front = free_port()
    proxy = Proxy(f"http://127.0.0.1:{front}", folder / f"{''.join(order)}.cfg")
    lines = []
    for name in order:
        proxy.orchestrators[name] = Orchestrator(name)
        proxy.servers[name] = await asyncio.start_server(proxy.orchestrators[name].serve, "127.0.0.1", 0)
        lines.append(f"    server {name} 127.0.0.1:{proxy.servers[name].sockets[0].getsockname()[1]}")
    proxy.config.write_text(CONFIG.format(front=front, servers="\n".join(lines)))
    environment = {**os.environ, "MOA_PYTHON": sys.executable, "MOA_HAPROXY_SESSIONS": sessions}
    command = DEFAULTS["RAY_SERVE_HAPROXY_BINARY_PATH"]
    process = await asyncio.create_subprocess_exec(command, "-db", "-f", str(proxy.config), env=environment)
    try:
        await connect(front)
        yield proxy
    finally:
        process.kill()
        await process.wait()
        for server in proxy.servers.values():
            server.close()


async def connect(port: int) -> None:
    for _ in range(400):
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return
    pytest.fail("HAProxy did not start")


@asynccontextmanager
async def hanging(proxy: Proxy, requests: int, headers: Mapping[str, str]) -> AsyncIterator[dict[str, int]]:
    """Number of requests that hang on each orchestrator, `requests` in all."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=60) as client:
        tasks = [asyncio.create_task(client.get(f"{proxy.url}/hang", headers=headers)) for _ in range(requests)]
        for _ in range(1000):
            counts = {name: one.hanging for name, one in proxy.orchestrators.items()}
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
    async with proxied(tmp_path) as proxy:
        first = {f"s{number}": await proxy.ask(f"s{number}") for number in range(12)}
        assert set(first.values()) == set(NAMES)
        assert {session: await proxy.ask(session) for session in first} == first
        assert [await proxy.ask(session, "x-claude-code-session-id") for session in first] == [*first.values()]


async def test_the_proxies_of_all_nodes_choose_the_same(tmp_path: Path) -> None:
    async with proxied(tmp_path) as one, proxied(tmp_path, ("c", "a", "b")) as other:
        sessions = [f"s{number}" for number in range(8)]
        assert [await one.ask(session) for session in sessions] == [await other.ask(session) for session in sessions]


async def test_requests_without_a_session_go_where_the_fewest_are(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        for session in (None, ""):
            assert {await proxy.ask(session) for _ in range(9)} == set(NAMES)
        async with hanging(proxy, 2, {}) as counts:
            assert sorted(counts.values()) == [0, 1, 1]
            assert counts[await proxy.ask(None)] == 0


async def test_an_orchestrator_with_far_more_requests_than_the_mean_gets_no_more_of_them(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        own = await proxy.ask("s")
        async with hanging(proxy, 80, {"X-Session-ID": "s"}) as counts:
            assert sum(counts.values()) == 80
            assert 40 < counts[own] <= 80 / 3 + 33


async def test_the_sessions_of_a_lost_orchestrator_go_to_others(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        own = await proxy.ask("s")
        proxy.servers[own].close()
        await proxy.servers[own].wait_closed()
        assert await proxy.ask("s") in set(NAMES) - {own}


@pytest.mark.parametrize("sessions", ["", "0"])
async def test_the_configuration_is_changed_once_and_not_at_all_if_switched_off(tmp_path: Path, sessions: str) -> None:
    async with proxied(tmp_path, sessions=sessions) as proxy:
        lines = proxy.config.read_text().splitlines()
        assert sum("use-server" in line for line in lines) == (0 if sessions else 3)
        assert not any("SERVE_PROXY" in line for line in lines if "use-server" in line)
        # Ray starts a new HAProxy with the same file when it checks it.
        process = await asyncio.create_subprocess_exec(
            DEFAULTS["RAY_SERVE_HAPROXY_BINARY_PATH"], "-c", "-f", str(proxy.config),
            env={**os.environ, "MOA_PYTHON": sys.executable, "MOA_HAPROXY_SESSIONS": sessions},
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == 0
        assert proxy.config.read_text().splitlines() == lines


def test_the_configuration_that_ray_writes_is_changed_and_valid(tmp_path: Path) -> None:
    names = ("SERVE_REPLICA--app-ingress-b", "SERVE_REPLICA--app-ingress-a")
    servers = [ServerConfig(name=name, host="127.0.0.1", port=9000 + place) for place, name in enumerate(names)]
    backend = BackendConfig(
        name="http-app",
        path_prefix="/",
        app_name="app",
        servers=servers,
        fallback_server=ServerConfig(name="SERVE_PROXY_ACTOR-1", host="127.0.0.1", port=9100),
    )
    config = tmp_path / "haproxy.cfg"
    settings = HAProxyConfig(socket_path=str(tmp_path / "admin.sock"), server_state_base=str(tmp_path))
    HAProxyApi(settings, {"http-app": backend}, str(config))._generate_config_file_internal()
    run = subprocess.run(
        [DEFAULTS["RAY_SERVE_HAPROXY_BINARY_PATH"], "-c", "-f", str(config)],
        env={**os.environ, "MOA_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    chosen = [line.split()[1] for line in config.read_text().splitlines() if line.strip().startswith("use-server")]
    assert chosen == sorted(names)
