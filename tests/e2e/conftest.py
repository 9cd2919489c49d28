"""One real server for all end-to-end tests but those of `OWN_SERVER`: the tiny profile, started as a user starts it.

`MOA_E2E_URL` names a running server to use instead. Tests that look into its engines or break them need more of it:
`MOA_E2E_PID`, the process id of its `serve run`, and the RAY_TMPDIR that it was started with.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from tests.support.otlp import Collector, collecting
from tests.support.paths import ROOT
from tests.support.server import Server, served

MODELS = ("tiny-qwen", "tiny-llama", "tiny-mixtral")
RECIPES = ("moa-lite", "moa")
OWN_SERVER = ("test_adapters.py", "test_pooling.py", "test_tenants.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first what has a server of its own, which must stop before the others' starts: they share memory."""
    items.sort(key=lambda item: item.path.name not in OWN_SERVER)


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Receives the traces of the server; requests are traced whose `traceparent` says so."""
    with collecting() as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        patch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        yield receiver


@pytest.fixture(scope="session")
def server(collector: Collector) -> Iterator[Server]:
    if given := os.environ.get("MOA_E2E_URL"):
        pid = os.environ.get("MOA_E2E_PID")
        folder = Path(os.environ.get("RAY_TMPDIR", "/tmp")) if pid else None
        yield Server(given.rstrip("/"), int(pid) if pid else None, folder)
        return
    with served("deployments:moa_app", "profile=tiny") as started:
        yield started


@dataclass(frozen=True)
class Stats:
    """State of the engines; see `deployments.wire.EngineStats`."""

    process: subprocess.Popen[str]

    def __call__(self) -> dict[str, dict[str, int]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="session")
def stats(server: Server) -> Iterator[Stats]:
    if server.folder is None:
        pytest.skip("needs MOA_E2E_PID beside MOA_E2E_URL")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.support.engine_stats", server.gcs_address(), *MODELS],
        cwd=ROOT,
        env={**os.environ, "RAY_TMPDIR": str(server.folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Stats(process)
        process.terminate()


@pytest.fixture(scope="session")
def base_url(server: Server) -> str:
    """URL of the server, without `/v1`."""
    return server.url


@pytest.fixture(scope="session")
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0, timeout=240) as public:
        yield public
