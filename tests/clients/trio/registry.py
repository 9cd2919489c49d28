"""The clients of clients.yaml, and the features that their programs have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.install_clients import NODE, folder_of, is_installed, node_names

FILE = Path(__file__).parent / "clients.yaml"
SERVER = "server"  # environment of clients that are installed with the server


@dataclass(frozen=True)
class Client:
    """One row of clients.yaml, which describes the fields."""

    name: str
    environment: str
    package: str
    endpoint: str
    configure: str
    language: str
    program: str = ""
    features: tuple[str, ...] = ()
    not_found: str = ""
    test: tuple[str, ...] = ()
    works: str = ""
    limits: str = ""
    unavailable: str = ""

    @property
    def id(self) -> str:
        return f"{self.package.lstrip('@').replace('/', '-')}{self.endpoint}"

    def command(self, url: str, features: tuple[str, ...]) -> list[str]:
        """Command line that runs features of the program."""
        if self.environment in node_names():
            return ["node", str(NODE / self.environment / self.program), url, *features]
        python = folder_of(self.environment) / "bin" / "python"
        return [str(python), str(NODE / "programs" / self.program), url, *features]


def clients() -> list[Client]:
    rows: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())
    return [Client(**{name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}) for row in rows]


def require(environment: str) -> None:
    """Skip a test whose client cannot be had; fail if it could, but is not installed."""
    for client in clients():
        if client.environment == environment and client.unavailable:
            pytest.skip(client.unavailable)
    assert is_installed(environment), f"run: .venv/bin/python -m scripts.install_clients {environment}"
