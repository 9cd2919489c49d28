"""Package indexes of this machine, for the build."""

from pathlib import Path

import pytest

from scripts.images.errors import CheckFailed
from scripts.images.indexes import CERTIFICATES, indexes, parse_indexes


def test_without_settings_the_dockerfiles_own_indexes_apply() -> None:
    assert parse_indexes("") == parse_indexes("global.timeout='60'\n")
    assert parse_indexes("").arguments == {}
    assert parse_indexes("").volumes == ()


def test_variables_override_files() -> None:
    listed = "\n".join([
        ":env:.index-url='https://two.example/simple'",
        "global.index-url='https://one.example/simple'",
        "global.trusted-host='one.example'",
        "install.index-url='https://three.example/simple'",
    ])  # fmt: skip
    assert parse_indexes(listed).arguments == {
        "PIP_INDEX_URL": "https://two.example/simple",
        "PIP_TRUSTED_HOST": "one.example",
    }


def test_local_folders_and_certificates_become_volumes() -> None:
    listed = "\n".join([
        r"global.extra-index-url='file:///srv/pypi/simple\nfile:///srv/more%20wheels/simple'",
        ":env:.find-links='/srv/wheels'",
        "global.cert='/etc/own.pem'",
    ])  # fmt: skip
    found = parse_indexes(listed)
    assert found.arguments == {
        "PIP_EXTRA_INDEX_URL": "file:///srv/pypi/simple file:///srv/more%20wheels/simple",
        "PIP_FIND_LINKS": "/srv/wheels",
    }
    assert found.places == ("file:///srv/pypi/simple", "file:///srv/more%20wheels/simple", "/srv/wheels")
    assert found.volumes == (
        (Path("/srv/pypi"), Path("/srv/pypi")),
        (Path("/srv/more wheels"), Path("/srv/more wheels")),
        (Path("/srv/wheels"), Path("/srv/wheels")),
        (Path("/etc/own.pem"), CERTIFICATES),
    )


def test_credentials_are_refused() -> None:
    with pytest.raises(CheckFailed, match="has credentials in its URL") as caught:
        parse_indexes("global.index-url='https://me:secret@one.example/simple'\n")
    assert "secret" not in str(caught.value)


def test_the_settings_of_this_machine_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://own.example/simple")
    assert indexes().arguments["PIP_INDEX_URL"] == "https://own.example/simple"
