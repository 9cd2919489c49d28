"""Package mirrors of the base image."""

from pathlib import Path

import pytest

from scripts.images import base
from scripts.images.base import DEFAULT_SOURCES, make_base, parse_sources


def test_the_mirror_of_the_machine_is_used_with_its_updates() -> None:
    listed = """\
http://mirror.example/debian-security/ bookworm-security main Debian-Security
http://mirror.example/debian/ bookworm-updates main Debian
http://mirror.example/debian/ bookworm main Debian
http://mirror.example/debian/ bookworm contrib Debian
http://other.example/tools bookworm main Tools of Others
http://mirror.example/debian/ trixie main Debian
"""
    found = parse_sources(listed)
    assert found.mirror == "http://mirror.example/debian"
    assert found.file == (
        "deb http://mirror.example/debian bookworm main\n"
        "deb http://mirror.example/debian bookworm-updates main\n"
        "deb http://mirror.example/debian-security bookworm-security main\n"
    )


@pytest.mark.parametrize("listed", ["", "http://archive.example/ubuntu/ noble main Ubuntu\n"])
def test_another_distribution_uses_the_public_mirror(listed: str) -> None:
    assert parse_sources(listed).lines == DEFAULT_SOURCES


def test_a_base_that_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "run", lambda *arguments: pytest.fail("debootstrap was started"))
    archive = tmp_path / "bookworm.tar"
    archive.write_bytes(b"")
    make_base(archive, tmp_path / "log")
