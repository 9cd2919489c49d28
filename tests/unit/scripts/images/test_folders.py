"""Removal of folders."""

from pathlib import Path

import pytest

from scripts.images import folders
from scripts.images.errors import CheckFailed
from scripts.images.folders import mounts_in, remove_folder


def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    (tmp_path / "mountinfo").write_text(
        f"29 1 254:0 / / rw - ext4 /dev/vda rw\n30 29 254:0 /srv {point} ro - ext4 /dev/vda rw\n"
    )
    monkeypatch.setattr(folders, "MOUNTS", tmp_path / "mountinfo")


def test_a_folder_with_a_mount_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "build" / "of mine"
    inside.mkdir(parents=True)
    mounted(tmp_path, monkeypatch, str(inside).replace(" ", "\\040"))
    with pytest.raises(CheckFailed, match="of mine is still mounted; unmount it"):
        remove_folder(tmp_path / "build")
    assert inside.exists()


def test_a_folder_beside_a_mount_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "build").mkdir()
    mounted(tmp_path, monkeypatch, f"{tmp_path}/build-of-others")
    remove_folder(tmp_path / "build")
    remove_folder(tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_the_root_of_this_machine_is_a_mount() -> None:
    assert Path("/") in mounts_in(Path("/"))
