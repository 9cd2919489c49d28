"""Server subprocesses: started, waited for, and ended with all their children."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from loadtest.errors import LoadError

HOST = "127.0.0.1"
STOP_S = 20.0  # for a graceful end; then the process is killed
PROBE_TIMEOUT_S = 5.0
LOG_TAIL = 2000  # characters of the log in the error message


def run(benchmark: Coroutine[Any, Any, None]) -> bool:
    """Run a benchmark. False if Ctrl-C or SIGTERM stopped it; all servers are then ended first."""

    async def cancellable() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await benchmark

    try:
        asyncio.run(cancellable())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return False
    return True


@asynccontextmanager
async def server(
    command: Sequence[str], env: Mapping[str, str], log: Path, ready_url: str, ready_s: float
) -> AsyncGenerator[int, None]:
    """Run `command` until the block is left; yield its process id.

    Args:
        command: program and arguments.
        env: complete environment.
        log: file for its output.
        ready_url: answers 200 when the server is ready.
        ready_s: time limit for that, in seconds.

    Raises:
        LoadError: the process ended, or was not ready in time; the message has the end of its log.
    """
    process = await asyncio.to_thread(_start, command, env, log)
    try:
        await _ready(process, ready_url, ready_s, log)
        yield process.pid
    finally:
        await asyncio.to_thread(_stop, process)


def _start(command: Sequence[str], env: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            list(command), env=dict(env), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


async def _ready(process: "subprocess.Popen[bytes]", url: str, ready_s: float, log: Path) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + ready_s
    async with httpx.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False) as client:
        while not await _answers(client, url):
            if process.poll() is not None or loop.time() > give_up:
                tail = await asyncio.to_thread(log.read_text, errors="replace")
                raise LoadError(f"A server did not become ready at {url}; the end of {log} is:\n{tail[-LOG_TAIL:]}")
            await asyncio.sleep(0.5)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt the process, then kill the rest of its tree: engines and clusters start child processes."""
    try:
        tree = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        tree = []
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for child in tree:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(tree, timeout=5)
