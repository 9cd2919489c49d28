"""One server on the embedded trio for all clients. `MOA_E2E_URL` names a running server to use instead."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.clients_page import Client
from tests.clients.trio.registry import command, require
from tests.support.server import START_S, served

PROGRAM_S = 240
# Of the caller's environment, clients see only this: a proxy or a key of the caller would change what they send.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.environ.get("HOME", "/"),
    "LANG": "C.UTF-8",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.timeout(START_S + PROGRAM_S))  # the first test waits for the server's start


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """URL of the server, without `/v1`."""
    if given := os.environ.get("MOA_E2E_URL"):
        yield given.rstrip("/")
        return
    with served("deployments:moa_app", "profile=tiny") as server:
        yield server.url


@pytest.fixture(scope="session")
def outcomes(url: str) -> Any:
    """Results that a client's program prints, by feature. The program runs once."""
    done: dict[str, dict[str, dict[str, Any]]] = {}

    def outcomes_of(client: Client) -> dict[str, dict[str, Any]]:
        if client.id not in done:
            require(client.environment)
            ran = subprocess.run(
                command(client, url), capture_output=True, text=True, env=ENVIRONMENT, timeout=PROGRAM_S
            )
            lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"feature"')]
            done[client.id] = {line["feature"]: line for line in lines}
            missing = {name: {"error": ran.stdout[-2000:] + ran.stderr[-4000:]} for name in client.features}
            done[client.id] = {**missing, **done[client.id]}
        return done[client.id]

    return outcomes_of
