"""The check as a whole, without building anything."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from scripts.images import __main__ as main
from scripts.images.errors import CheckFailed
from scripts.images.storage import Storage

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders of storages that were removed, while all steps before the build succeed."""
    folders: list[Path] = []
    monkeypatch.setattr(main, "check_programs", lambda: None)
    monkeypatch.setattr(main, "make_base", lambda archive, log: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 100 * 2**30))
    monkeypatch.setattr(Storage, "import_base", lambda self, archive, tag: None)
    monkeypatch.setattr(Storage, "remove", lambda self: folders.append(self.folder))
    return folders


def broken(self: Storage, *arguments: object, **options: object) -> None:
    raise CheckFailed("The build failed.")


@pytest.mark.parametrize(("keep", "times"), [(False, 2), (True, 1)])
def test_the_build_is_removed_after_a_failure_unless_it_is_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: list[Path], keep: bool, times: int
) -> None:
    monkeypatch.setattr(Storage, "build_image", broken)
    with pytest.raises(CheckFailed, match="The build failed"):
        main.check(tmp_path / "new", keep=keep)
    assert removed == [tmp_path / "new" / "storage"] * times  # before the build, too


def test_too_little_disk_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: list[Path]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 3 * 2**30))
    with pytest.raises(CheckFailed, match="Only 3 GiB are free on the disk of"):
        main.check(tmp_path, keep=False)
    assert removed == []


def test_the_command_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, removed: list[Path], tmp_path: Path
) -> None:
    monkeypatch.setattr(Storage, "build_image", broken)
    monkeypatch.setattr("sys.argv", ["images", "--storage", str(tmp_path)])
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == "Error: The build failed."


def test_arguments_of_the_build_exist_in_the_dockerfile() -> None:
    text = main.DOCKERFILE.read_text()
    for name in ("BASE", "REVISION", *main.indexes().arguments):
        assert f"\nARG {name}" in text, name
