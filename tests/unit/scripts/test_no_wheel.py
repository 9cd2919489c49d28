import tomllib
from pathlib import Path

import pytest

from scripts import no_wheel


@pytest.mark.parametrize("hook", ["build_wheel", "build_sdist", "build_editable", "get_requires_for_build_wheel"])
def test_the_build_backend_refuses(hook: str) -> None:
    with pytest.raises(SystemExit, match="make install"):
        getattr(no_wheel, hook)(None)


def test_pyproject_names_the_refusing_backend() -> None:
    build = tomllib.loads(Path("pyproject.toml").read_text())["build-system"]
    assert build == {"requires": [], "build-backend": no_wheel.__name__.split(".")[-1], "backend-path": ["scripts"]}
