"""HAProxy as the server starts it, in front of a backend that does not answer.

A caller's disconnect reaches the backend, and the proxy's own errors are errors of the API.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from deployments.cluster.environment import DEFAULTS
from serving.errors import DeadlineExceeded, EngineUnavailable
from tests.support.server import free_port

# The connection settings of Ray's configuration (ray/serve/_private/haproxy_templates.py).
CONFIG = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server {server_s}s
    option abortonclose
    option splice-request
    option splice-response
    option http-no-delay
    option idle-close-on-response
    errorfile 502 {errors}
    errorfile 503 {errors}
    errorfile 504 {errors}
frontend front
    bind 127.0.0.1:{front}
    default_backend back
backend back
    http-reuse always
    server only 127.0.0.1:{back}
frontend prometheus
    bind :{metrics}
    http-request use-service prometheus-exporter if {{ path /metrics }}
"""
HEAD = b"POST / HTTP/1.1\r\nhost: front\r\ncontent-length: 5\r\n\r\n"


class Backend:
    """Reads requests, answers none, and counts the callers that disconnected."""

    def __init__(self) -> None:
        self.arrived, self.left = 0, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(HEAD) + 5)
        self.arrived += 1
        with suppress(ConnectionError):  # a reset is a disconnect, too
            await reader.read(1)
        self.left += 1
        writer.close()


@asynccontextmanager
async def proxied(
    folder: Path, *, loopback: bool = False, down: bool = False, server_s: int = 60
) -> AsyncIterator[tuple[int, int, Backend]]:
    """The proxy's port, its metrics port and the backend; `down`: nothing listens on the backend's port."""
    front, metrics = free_port(), free_port()
    backend = Backend()
    server = await asyncio.start_server(backend.serve, "127.0.0.1", 0)
    back = free_port() if down else server.sockets[0].getsockname()[1]
    errors = folder / "500.http"
    errors.write_text("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")
    config = folder / "haproxy.cfg"
    config.write_text(CONFIG.format(front=front, metrics=metrics, back=back, errors=errors, server_s=server_s))
    environment = {
        **os.environ,
        "MOA_PYTHON": sys.executable,
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": "1",
        "MOA_HAPROXY_LOOPBACK": "1" if loopback else "",
    }
    command = DEFAULTS["RAY_SERVE_HAPROXY_BINARY_PATH"]
    process = await asyncio.create_subprocess_exec(command, "-db", "-f", str(config), env=environment)
    try:
        for _ in range(100):
            try:
                (await asyncio.open_connection("127.0.0.1", front))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield front, metrics, backend
    finally:
        process.kill()
        await process.wait()
        server.close()


async def until(met: Callable[[], bool], within_s: float) -> bool:
    ends_at = asyncio.get_running_loop().time() + within_s
    while not met():
        if asyncio.get_running_loop().time() > ends_at:
            return False
        await asyncio.sleep(0.01)
    return True


def listening() -> set[tuple[str, int]]:
    """IPv4 addresses and ports of this machine's sockets, as the kernel lists them."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, port = line.split()[1].split(":")
        found.add((".".join(str(byte) for byte in reversed(bytes.fromhex(address))), int(port, 16)))
    return found


@pytest.mark.parametrize("pieces", [(HEAD + b"hello",), (HEAD, b"hello"), (HEAD, b"he", b"llo")])
async def test_a_callers_disconnect_reaches_the_server(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    async with proxied(tmp_path) as (front, _, backend):
        _, writer = await asyncio.open_connection("127.0.0.1", front)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)  # a segment of its own
        assert await until(lambda: backend.arrived == 1, 5)
        writer.close()
        assert await until(lambda: backend.left == 1, 5)


@pytest.mark.parametrize(("loopback", "address"), [(False, "0.0.0.0"), (True, "127.0.0.1")])
async def test_the_proxys_own_pages_are_kept_to_this_machine(tmp_path: Path, loopback: bool, address: str) -> None:
    async with proxied(tmp_path, loopback=loopback) as (_, metrics, _backend):
        assert (address, metrics) in listening()


async def test_without_a_replica_the_caller_gets_an_error_of_the_api(tmp_path: Path) -> None:
    async with proxied(tmp_path, down=True) as (front, _, _backend), httpx.AsyncClient() as client:
        response = await client.post(f"http://127.0.0.1:{front}/v1/chat/completions", content="{}", timeout=30)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/json"
    assert response.headers["retry-after"] == "1"
    error = response.json()["error"]
    assert error.pop("message").endswith("try again.")
    assert error == {"type": EngineUnavailable.type, "param": None, "code": EngineUnavailable.code}


async def answered(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to the bytes of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode().rstrip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return int(status.split()[1]), headers, body


async def test_a_backend_that_does_not_answer_in_time_is_an_error_of_the_api(tmp_path: Path) -> None:
    async with proxied(tmp_path, server_s=1) as (front, _, _backend):
        status, headers, body = await answered(front, HEAD + b"hello")
    assert (status, headers["content-type"]) == (504, "application/json")
    error = json.loads(body)["error"]
    assert error.pop("message").endswith("within the deadline.")
    assert error == {"type": DeadlineExceeded.type, "param": None, "code": DeadlineExceeded.code}


def test_every_error_file_is_an_error_of_the_api(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    own = f"    errorfile 503 {tmp_path}/500.http\n"
    for _ in range(2):  # Ray starts HAProxy again with the same file
        config.write_text(config.read_text() if config.exists() else f"defaults\n{own.replace('503', '502')}{own}")
        environment = {**os.environ, "MOA_PYTHON": "false"}
        subprocess.run([DEFAULTS["RAY_SERVE_HAPROXY_BINARY_PATH"], "-f", str(config)], env=environment, check=False)
    lines = [line.split() for line in config.read_text().splitlines()[1:]]
    assert [int(status) for _, status, _ in lines] == [400, 408, 413, 500, 502, 503, 504]
    for _, status, path in lines:
        head, _, body = Path(path).read_bytes().partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {503 if status == '502' else status} ".encode())
        assert f"content-length: {len(body)}".encode() in head
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "request_", [b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 40_000 + b"\r\n\r\n"]
)
async def test_haproxys_parser_answers_in_its_own_words(tmp_path: Path, request_: bytes) -> None:
    # If this fails, HAProxy can do better now: say so in docs/errors.md.
    async with proxied(tmp_path) as (front, _, _backend):
        status, headers, _ = await answered(front, request_)
    assert (status, headers["content-type"]) == (400, "text/html")
