"""Commands of the clients in clients.yaml."""

import pytest

from scripts.clients_page import Client, clients
from scripts.install_clients import NODE, folder_of, is_installed, node_names


def command(client: Client, url: str) -> list[str]:
    """Command line that runs all features of a client's program."""
    if client.environment in node_names():
        return ["node", str(NODE / client.environment / client.program), url, *client.features]
    python = folder_of(client.environment) / "bin" / "python"
    return [str(python), str(NODE / "programs" / client.program), url, *client.features]


def require(environment: str) -> None:
    """Skip a test whose client cannot be had; fail if it could, but is not installed."""
    for client in clients():
        if client.environment == environment and client.unavailable:
            pytest.skip(client.unavailable)
    assert is_installed(environment), f"run: .venv/bin/python -m scripts.install_clients {environment}"
