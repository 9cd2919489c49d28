"""A server with batches in a process of its own, which a test can kill: `python -m tests.support.batch_server`.

Its model repeats the last message. The number in a file is a gate: lines from that number on wait until it is raised.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from serving.engines.scripted import ScriptedEngine
from serving.ports import free_port
from serving.types import Delta, GenerateRequest
from tests.support.batches import batches_app
from tests.support.paths import ROOT

START_S = 300.0
GATE, LOG = "gate", "answered"


class GatedEcho(ScriptedEngine):
    """Repeats the message, once its number is below the gate's, and notes it in a file."""

    folder: Path = Path()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        text = request.messages[-1].content
        number = int(re.findall(r"\d+", text)[-1])
        while number >= int((self.folder / GATE).read_text() or 0):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        async for delta in ScriptedEngine("m", text).generate(request):
            yield delta
        with (self.folder / LOG).open("a") as log:
            log.write(f"{text}\n")


def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    engine = GatedEcho("m")
    engine.folder = folder
    app = batches_app(folder, {"m": engine}, environment=os.environ, max_concurrent=4, lease_s=5)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical")


class BatchServer:
    """The process, and its address."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.port = folder, free_port()
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.batch_server", str(self.folder), str(self.port)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        ends_at = time.monotonic() + START_S
        while True:
            try:
                httpx.get(f"{self.url.removesuffix('/v1')}/health", timeout=5).raise_for_status()
                return
            except httpx.HTTPError:
                assert time.monotonic() < ends_at, (self.folder / "server.log").read_text()
                time.sleep(0.05)

    def kill(self) -> None:
        """End the process with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End the process with SIGTERM, as an operator does."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(START_S)
        self._process = None

    def answered(self) -> list[str]:
        """Texts that the model has repeated, in any process."""
        log = self.folder / LOG
        return log.read_text().splitlines() if log.exists() else []

    def open_gate(self, number: int) -> None:
        """Let lines below `number` be answered."""
        given = self.folder / "gate.new"
        given.write_text(str(number))
        given.rename(self.folder / GATE)


@contextmanager
def batch_server(folder: Path, environment: Mapping[str, str], gate: int) -> Iterator[BatchServer]:
    """A server that runs, and answers the lines below `gate`."""
    server = BatchServer(folder, environment)
    server.open_gate(gate)
    try:
        server.start()
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    main()
