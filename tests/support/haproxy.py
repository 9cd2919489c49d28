"""HAProxy as Ray starts it: Ray's own configuration, our program, and orchestrators that the test writes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from deployments.cluster.environment import DEFAULTS
from serving.ports import free_port

PROGRAM = DEFAULTS["RAY_SERVE_HAPROXY_BINARY_PATH"]
START_S = 120.0  # guards against a hang
Orchestrator = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Proxy:
    """A started HAProxy: its ports, its files, and the process that Ray knows."""

    folder: Path
    front: int
    metrics: int
    process: asyncio.subprocess.Process
    arguments: list[str]
    environment: dict[str, str]
    client: httpx.AsyncClient
    servers: dict[str, asyncio.Server] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.front}"

    @property
    def socket(self) -> str:
        return str(self.folder / "admin.sock")

    @property
    def config(self) -> str:
        """Text of the configuration that HAProxy runs with."""
        return (self.folder / f"moa-{self.process.pid}.cfg").read_text()

    @property
    def haproxy(self) -> int:
        """Process id of HAProxy itself."""
        return int((self.folder / f"moa-{self.process.pid}.pid").read_text())

    @property
    def said(self) -> str:
        return (self.folder / "said.log").read_text()

    async def get(self, path: str = "/", **options: Any) -> httpx.Response:
        return await self.client.get(f"{self.url}{path}", **options)

    async def restarts(self) -> httpx.Response:
        return await self.client.get(f"http://127.0.0.1:{self.metrics}/restarts")

    async def post(self, path: str = "/", **options: Any) -> httpx.Response:
        return await self.client.post(f"{self.url}{path}", **options)

    async def raw(self, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to the bytes of a request, on a connection that then ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.front)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        try:
            async with asyncio.timeout(START_S):
                head = await reader.readuntil(b"\r\n\r\n")
                status, *lines = head.decode().rstrip().split("\r\n")
                headers = dict(line.lower().replace(": ", ":", 1).split(":", 1) for line in lines)
                length = int(headers.get("content-length", -1))
                body = await (reader.readexactly(length) if length >= 0 else reader.read())
        finally:
            writer.close()
        return int(status.split()[1]), headers, body

    async def again(self, *arguments: str) -> "Proxy":
        """Another one of the same node, started as Ray does when replicas have changed."""
        process = await started(self.folder, [*self.arguments, *arguments], self.environment)
        other = Proxy(self.folder, self.front, self.metrics, process, self.arguments, self.environment, self.client)
        await until_ready(other)
        return other


async def ask_admin(path: str, command: str = "show info") -> str:
    """HAProxy's answer at an admin socket; empty if there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(f"{command}\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
    except OSError:
        return ""
    return answer


async def until(met: Callable[[], Any], within_s: float = START_S) -> bool:
    """True as soon as the condition is met, false if it is not in time."""
    ends_at = asyncio.get_running_loop().time() + within_s
    while True:
        result = met()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return True
        if asyncio.get_running_loop().time() > ends_at:
            return False
        await asyncio.sleep(0.02)


async def until_ready(proxy: Proxy) -> None:
    """Wait as Ray does: for the process id of the program that it started."""

    async def ready() -> bool:
        assert proxy.process.returncode is None, proxy.said
        return f"\nPid: {proxy.process.pid}\n" in await ask_admin(proxy.socket)

    assert await until(ready), proxy.said


async def started(folder: Path, arguments: Sequence[str], environment: dict[str, str]) -> asyncio.subprocess.Process:
    with (folder / "said.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(PROGRAM, *arguments, env=environment, stdout=log, stderr=log)


def write_config(
    folder: Path, front: int, metrics: int, servers: dict[str, int], fallback: str = "", **settings: Any
) -> Path:
    """The configuration that Ray writes for an application with these servers (names and ports).

    `fallback`: name of the one in the place of Serve's own proxy.
    """
    every = [ServerConfig(name=name, host="127.0.0.1", port=port) for name, port in servers.items()]
    backend = BackendConfig(
        name="http-app",
        path_prefix="/",
        app_name="app",
        servers=[one for one in every if one.name != fallback],
        fallback_server=next((one for one in every if one.name == fallback), None),
    )
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=front),
        metrics_port=metrics,
        stats_port=free_port(),
        socket_path=str(folder / "admin.sock"),
        server_state_base=str(folder),
        server_state_file=str(folder / "server-state"),
        metrics_socket_path=str(folder / "metrics.sock"),
        **settings,
    )
    path = folder / "haproxy.cfg"
    HAProxyApi(config, {"http-app": backend} if servers else {}, str(path))._generate_config_file_internal()
    return path


def _tracked(serve: Orchestrator, handlers: set[asyncio.Task[None]]) -> Orchestrator:
    """`serve` with its tasks in `handlers`, whose connections are closed when they end."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        handlers.add(task)
        try:
            await serve(reader, writer)
        finally:
            handlers.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return handle


@asynccontextmanager
async def proxied(
    folder: Path,
    orchestrators: dict[str, Orchestrator | int],
    environment: dict[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Proxy]:
    """HAProxy in front of orchestrators: a function that serves a connection, or a port. `settings`: of Ray's."""
    front, metrics = free_port(), free_port()
    handlers: set[asyncio.Task[None]] = set()
    servers = {
        name: await asyncio.start_server(_tracked(serve, handlers), "127.0.0.1", 0, limit=2**24)
        for name, serve in orchestrators.items()
        if not isinstance(serve, int)
    }
    ports = {
        name: serve if isinstance(serve, int) else servers[name].sockets[0].getsockname()[1]
        for name, serve in orchestrators.items()
    }
    config = write_config(folder, front, metrics, ports, **settings)
    variables = {
        **os.environ,
        "MOA_PYTHON": sys.executable,
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        **(environment or {}),
    }
    arguments = ["-db", "-f", str(config), "-dR"]
    process = await started(folder, arguments, variables)
    async with client() as http:
        proxy = Proxy(folder, front, metrics, process, arguments, variables, http, servers)
        try:
            await until_ready(proxy)
            yield proxy
        finally:
            for server in servers.values():
                server.close()
            await stopped(process)
            for handler in handlers:
                handler.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)


def client() -> httpx.AsyncClient:
    """A client with a connection for each request."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(trust_env=False, limits=limits, timeout=60)


async def stopped(process: asyncio.subprocess.Process) -> None:
    """End the program and its HAProxy."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(START_S):
        await process.wait()
