"""docs/dependencies.md against pyproject.toml and the source."""

import re
import tomllib
from pathlib import Path

PAGE = Path("docs/dependencies.md").read_text()
PRIVATE = re.compile(r"\bray(?:\.\w+)*\._\w+|\bengine\._engine_client|\bresponse\._response")


def test_every_direct_dependency_is_explained() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    declared = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.match(r"[\w.-]+(\[\w+\])?", line)[0] for line in declared}  # type: ignore[index]
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_every_file_with_a_private_interface_is_listed() -> None:
    sources = [path for top in ("deployments", "loadtest", "tests/support") for path in Path(top).rglob("*.py")]
    found = {str(path) for path in sources if PRIVATE.search(path.read_text())}
    assert found, "the pattern finds nothing"
    assert {path for path in found if f"| `{path}` |" not in PAGE} == set()


def test_every_listed_use_is_still_there() -> None:
    rows = re.findall(r"^\| `([\w/.-]+)` \| (.+?) \|", PAGE.split("## Private interfaces")[1], re.MULTILINE)
    assert rows
    for path, interface in rows:
        named = re.findall(r"`([\w.]+?)(?:[:*.]*)`", interface)
        text = Path(path).read_text()
        assert any(name.split(".")[-1] in text for name in named), (path, named)
