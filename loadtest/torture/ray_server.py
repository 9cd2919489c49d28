"""The server on Ray with scripted models, as a process tree that parts can look at and kill in."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadtest.bench.contenders import READY_S, plain_environment, script
from loadtest.bench.processes import HOST, server
from serving.ports import free_port


@dataclass(frozen=True, slots=True)
class RayServer:
    """A running server."""

    url: str
    port: int
    pid: int  # of `serve run`

    def processes(self) -> list[psutil.Process]:
        """The whole process tree."""
        leader = psutil.Process(self.pid)
        return [leader, *leader.children(recursive=True)]

    def find(self, word: str) -> list[psutil.Process]:
        """Processes below the first whose command line has `word`, those that run longest first."""
        found = []
        for process in self.processes()[1:]:
            try:
                if word in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return sorted(found, key=lambda process: process.pid)


@asynccontextmanager
async def ray_server(log: Path, host: str = HOST, **arguments: object) -> AsyncGenerator[RayServer, None]:
    """Run the server while the block runs, in a session folder of its own.

    Raises:
        LoadError: it did not become ready.
    """
    port = free_port()
    given = [f"{name}={value}" for name, value in {"host": host, "port": port, **arguments}.items()]
    command = [script("serve"), "run", "loadtest.torture.cluster:torture_app", *given]
    # Short, since Ray puts sockets below it whose paths must stay below 108 bytes.
    with tempfile.TemporaryDirectory(prefix="moa-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = plain_environment({"RAY_TMPDIR": folder})
        environment.pop("RAY_ADDRESS", None)
        url = f"http://{HOST}:{port}"
        async with server(command, environment, log, f"{url}/ready", READY_S) as pid:
            yield RayServer(url, port, pid)
