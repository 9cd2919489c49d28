"""Links, commands and paths in the documents."""

import re
from pathlib import Path

import pytest

from deployments.config import load_profile

PACKAGES = "serving|deployments|models|evaluation|loadtest|training|scripts"
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "helm/moa/README.md")
DOCUMENTS = [*map(Path, TOP), *sorted(Path("docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_make_commands_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", Path("Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z0-9-]+)|^make ([a-z0-9-]+)", document.read_text(), re.MULTILINE))
    assert {name for pair in named for name in pair if name} <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_named_in_text_exist(document: Path) -> None:
    named = re.findall(rf"`((?:{PACKAGES}|tests|docs|helm|docker)/[\w./-]+)`", document.read_text())
    assert [name for name in named if "NAME" not in name and not Path(name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_modules_to_run_exist(document: Path) -> None:
    for name in re.findall(rf"python -m ((?:{PACKAGES})[\w.]*)", document.read_text()):
        path = Path(*name.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


def test_the_readme_proposes_the_questions_that_the_start_prints() -> None:
    text = Path("README.md").read_text()
    assert [question for question in load_profile("tiny").questions if f"`{question}`" not in text] == []
