"""Clients that are tested against the embedded trio (tests/clients/trio/clients.yaml), and docs/clients.md of them."""

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from scripts.install import ROOT
from scripts.install_clients import NODE, lock_of, node_names

FILE = NODE / "clients.yaml"
SERVER = "server"  # environment of what is installed with the server
COLUMNS = {
    "chat": "text",
    "stream": "stream",
    "tools": "tools",
    "structured": "JSON schema",
    "models": "models",
    "not_found": "error",
}
PAGE = """# Clients

Programs that are tested as they are, each in its pinned version in an environment of its own, against a server on the
[embedded trio](tiny.md). `make test-clients` installs them and runs the tests; the file
`tests/clients/trio/clients.yaml` and the lock files in `requirements/clients` and `tests/clients/trio` are what this
page is made of. All examples ask a server at `http://127.0.0.1:8000` without a key; if yours has one, give it in the
place of `none`.

## Libraries

A cross is a passing test with the recipe `moa-lite`: an answer as a whole and as a stream, each with its usage; a loop
of tool calls that ends with the tool's result; an answer that satisfies a JSON schema; the list of models; the client's
own "not found" error for a model that does not exist. An empty cell: the client does not do it, or another row shows
it.

{libraries}

## Programs

{programs}

## Configuration

{configuration}
"""


@dataclass(frozen=True)
class Client:
    """One entry of clients.yaml, which describes the fields."""

    name: str
    endpoint: str
    configure: str
    language: str
    environment: str = ""
    package: str = ""
    program: str = ""
    features: tuple[str, ...] = ()
    not_found: str = ""
    test: tuple[str, ...] = ()
    works: str = ""
    limits: str = ""
    unavailable: str = ""

    @property
    def id(self) -> str:
        """Name in the ids of tests."""
        return (self.program or self.name).partition(".")[0]

    @property
    def version(self) -> str:
        """Pinned version; empty if no package is installed. Raises `KeyError` if its lock file does not have it."""
        return version_of(self.environment, self.package) if self.package else ""


def clients() -> list[Client]:
    """All clients, in the order of the page."""
    rows: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [_client(row) for row in rows]


def _client(row: dict[str, Any]) -> Client:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}
    return Client(**fields)


def version_of(environment: str, package: str) -> str:
    """Version of a package in the lock file of an environment. Raises `KeyError` if it is not there."""
    if environment in node_names():
        lock = json.loads(lock_of(environment).read_text(encoding="utf-8"))
        return str(lock["packages"][f"node_modules/{package}"]["version"])
    file = ROOT / "requirements" / "cpu.txt" if environment == SERVER else lock_of(environment)
    found = re.search(rf"^{re.escape(package)}==(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise KeyError(f"{package} in {file.relative_to(ROOT)}")
    return found[1]


def clients_page() -> str:
    """Return docs/clients.md."""
    found = clients()
    return PAGE.format(
        libraries=_libraries([client for client in found if client.program]),
        programs=_programs([client for client in found if not client.program]),
        configuration="\n\n".join(_configuration(client) for client in found),
    )


def _libraries(found: list[Client]) -> str:
    rows = [
        f"| client | version | endpoint | {' | '.join(COLUMNS.values())} | remarks |",
        f"|---|---|---|{':-:|' * len(COLUMNS)}---|",
    ]
    for client in found:
        crosses = ["×" if name in client.features else "" for name in COLUMNS]
        cells = [f"{client.name}: `{client.package}`", client.version, f"`{client.endpoint}`", *crosses]
        rows.append(f"| {' | '.join([*cells, _remarks(client)])} |")
    return "\n".join(rows)


def _programs(found: list[Client]) -> str:
    rows = ["| client | version | endpoint | what the tests show | remarks |", "|---|---|---|---|---|"]
    for client in found:
        name = f"{client.name}: `{client.package}`" if client.package else client.name
        endpoints = ", ".join(f"`{endpoint}`" for endpoint in client.endpoint.split(", "))
        remarks = " ".join(text for text in (client.unavailable, client.limits) if text)
        rows.append(f"| {name} | {client.version} | {endpoints} | {client.works} | {remarks} |")
    return "\n".join(rows)


def _remarks(client: Client) -> str:
    return " ".join(text for text in (client.unavailable, client.works, client.limits) if text)


def _configuration(client: Client) -> str:
    package = f" (`{client.package}`)" if client.program else ""
    return f"{client.name}{package}, `{client.endpoint}`:\n\n```{client.language}\n{client.configure.rstrip()}\n```"
