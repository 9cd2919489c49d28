"""docs/clients.md: each cell of its tables is a test, and each test of a client is in them."""

import ast
import re
from pathlib import Path

import pytest

from scripts.clients_page import SERVER, Client, clients, clients_page, version_of
from scripts.install_clients import NODE, names, node_names
from tests.clients.trio.test_features import CASES, CHECKS
from tests.support.paths import ROOT

CLIENTS = clients()
PROGRAMS = [client for client in CLIENTS if client.program]
FILES = ROOT / "tests" / "clients"


def functions(file: Path) -> set[str]:
    """Names of the functions of a module."""
    defined = ast.parse(file.read_text()).body
    return {node.name for node in defined if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def written(client: Client) -> str:
    """Source of a Node program, with the file of features that it imports."""
    text = (NODE / client.environment / client.program).read_text()
    return text + (NODE / "node" / "ai_sdk.mjs").read_text() if "./ai_sdk.mjs" in text else text


@pytest.mark.parametrize("client", PROGRAMS, ids=lambda client: client.id)
def test_a_library_has_a_function_and_a_test_for_each_cross(client: Client) -> None:
    assert set(client.features) <= set(CHECKS)
    if client.environment in node_names():
        assert [name for name in client.features if not re.search(rf"\b{name}(\(|:)", written(client))] == []
    else:
        assert set(client.features) <= functions(NODE / "programs" / client.program)
    tested = [case.values[1] for case in CASES if case.values[0] == client]
    assert tested == list(client.features)
    assert "not_found" not in client.features or client.not_found


@pytest.mark.parametrize("client", [client for client in CLIENTS if not client.program], ids=lambda client: client.id)
def test_the_tests_of_a_program_exist(client: Client) -> None:
    assert client.test
    assert client.works
    for named in client.test:
        file, _, function = named.partition("::")
        assert function in functions(FILES / file), named


def test_each_test_of_a_program_has_a_row() -> None:
    files = [file for file in (FILES / "trio").glob("test_*.py") if file.name != "test_features.py"]
    tests = {f"trio/{file.name}::{name}" for file in files for name in functions(file) if name.startswith("test_")}
    assert tests == {name for client in CLIENTS for name in client.test if name.startswith("trio/")}


def test_each_environment_has_a_client() -> None:
    assert {client.environment for client in CLIENTS} - {"", SERVER} == set(names())
    assert [client.id for client in CLIENTS if client.package and not client.version] == []
    with pytest.raises(KeyError):
        version_of("openai", "no-such-package")


def test_no_two_libraries_have_one_id() -> None:
    ids = [client.id for client in PROGRAMS]
    assert sorted(set(ids)) == sorted(ids)


def test_a_client_that_cannot_be_had_is_in_the_table_with_the_reason() -> None:
    missing = [client for client in CLIENTS if client.unavailable]
    assert [client.id for client in missing if client.unavailable not in clients_page()] == []
