"""The configuration of an image, and its build."""

from pathlib import Path

import pytest

from scripts.images.errors import CheckFailed
from scripts.images.storage import Storage
from tests.support.container_images import image


def test_fields_of_the_configuration() -> None:
    assert image().command == ["tini", "--", "python", "profile=tiny"]
    assert image().environment == {"PATH": "/opt/venv/bin:/usr/bin", "OPTIONS": "a=b c"}
    assert image().health == ["wget", "-q", "http://127.0.0.1:8000/health"]


@pytest.mark.parametrize("health", [None, {"Test": ["NONE"]}, {"Test": ["CMD-SHELL", "true"]}])
def test_a_missing_health_check_is_named(health: object) -> None:
    with pytest.raises(CheckFailed, match="HEALTHCHECK"):
        _ = image(Healthcheck=health).health


def test_builds_are_local_and_keep_the_health_check(tmp_path: Path) -> None:
    words = [str(word) for word in Storage(tmp_path).build]
    assert words[0] == "buildah"
    assert {"--pull-never", "--format", "docker", "--isolation", "chroot"} <= set(words)
    assert (tmp_path / "policy.json").is_file()


def test_a_storage_that_does_not_exist_is_removed_without_buildah(tmp_path: Path) -> None:
    Storage(tmp_path / "none").remove()
