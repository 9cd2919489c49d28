"""Environments of the tested clients."""

import re
from pathlib import Path

import pytest

from scripts import install_clients
from scripts.install_clients import CannotInstall, folder_of, install, is_installed, lock_of, names, python_names


def test_each_list_has_a_lock_file_with_exact_versions() -> None:
    lists = sorted(path.stem for path in install_clients.LOCKS.glob("*.in"))
    assert lists == python_names()
    for name in python_names():
        lines = [line for line in lock_of(name).read_text().splitlines() if not line.lstrip().startswith("#")]
        assert lines
        assert [line for line in lines if not re.match(r"[a-z0-9.-]+==\S+$", line)] == []


def test_each_environment_has_a_folder_of_its_own() -> None:
    assert {"openai", "guidellm", "node", "agents"} <= set(names())
    assert len({folder_of(name) for name in names()}) == len(names())
    assert folder_of("node").name == "node_modules"


def test_an_environment_is_installed_while_its_lock_file_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_clients, "LOCKS", tmp_path)
    monkeypatch.setattr(install_clients, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(install_clients, "ROOT", tmp_path)
    (tmp_path / "one.txt").write_text("one==1\n")
    installed: list[str] = []

    def install_python(name: str) -> None:
        installed.append(name)
        folder_of(name).mkdir(exist_ok=True)

    monkeypatch.setattr(install_clients, "_install_python", install_python)
    assert not is_installed("one")
    install("one")
    install("one")
    assert is_installed("one")
    assert installed == ["one"]
    (tmp_path / "one.txt").write_text("one==2\n")
    assert not is_installed("one")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CannotInstall, match=r"There is no environment 'no-such'; choose from: .*openai"):
        install("no-such")


def test_a_failed_command_is_shown_with_its_last_lines() -> None:
    command = ["sh", "-c", "for line in 1 2 3 4 5 6; do echo line $line; done; exit 1"]
    with pytest.raises(CannotInstall) as caught:
        install_clients._run("one", command)
    assert str(caught.value).endswith("failed.\nline 2\nline 3\nline 4\nline 5\nline 6")
    assert "'one'" in str(caught.value)
