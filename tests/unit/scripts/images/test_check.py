"""Faults of an image that the check refuses."""

import os
from pathlib import Path

import pytest

from scripts.images import check
from scripts.images.check import check_image
from scripts.images.errors import CheckFailed
from tests.support.container_images import image


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root file system that passes, whose owner is this user."""
    for folder in ("usr/bin", "opt/venv/bin", "opt/moa"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(check, "COMPILERS", ("gcc",))
    return tmp_path


def test_a_good_image_passes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_image(image(User=str(os.getuid() + 1)), root, ("https://index.example",))
    assert "no compiler" in capsys.readouterr().out


def test_a_compiler_is_found(root: Path) -> None:
    (root / "usr/bin/gcc").touch()
    with pytest.raises(CheckFailed, match="has a compiler: usr/bin/gcc"):
        check_image(image(), root, ())


def test_pip_is_found(root: Path) -> None:
    (root / "opt/venv/bin/pip3").touch()
    with pytest.raises(CheckFailed, match="has pip: opt/venv/bin/pip3"):
        check_image(image(), root, ())


@pytest.mark.parametrize("labels", [None, {}, {"org.opencontainers.image.title": "moa-cpu"}])
def test_a_label_that_is_not_there_is_named(root: Path, labels: dict[str, str] | None) -> None:
    with pytest.raises(CheckFailed, match=f"no label org.opencontainers.image.{'version' if labels else 'title'}"):
        check_image(image(Labels=labels), root, ())


def test_an_address_of_a_package_index_in_the_history_is_found(root: Path) -> None:
    with pytest.raises(CheckFailed, match="contains 'pip install'"):
        check_image(image(), root, ("nowhere", "pip install"))


@pytest.mark.parametrize("user", ["", "0", "root", "0:0"])
def test_root_is_refused(root: Path, user: str) -> None:
    with pytest.raises(CheckFailed, match="runs as root"):
        check_image(image(User=user), root, ())


def test_a_file_that_all_users_may_change_is_found(root: Path) -> None:
    (root / "opt/moa/open").touch()
    (root / "opt/moa/open").chmod(0o666)
    with pytest.raises(CheckFailed, match="may change /opt/moa/open"):
        check_image(image(User=str(os.getuid() + 1)), root, ())
