"""docs/ten-minutes.md: its commands make a profile that works, and its outputs are those of the commands."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.config import load_profile
from deployments.plan.report import report
from serving.errors import ConfigError
from serving.recipes import load_recipes
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "ten-minutes.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TEXTS = [text for kind, text in BLOCKS if kind == "text"]


def command(beginning: str) -> str:
    """The command of the page that begins so."""
    [found] = [text for kind, text in BLOCKS if not kind and text.startswith(beginning)]
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which the commands of the page were run that make the recipe and the profile."""
    (tmp_path / "deployments").symlink_to(ROOT / "deployments")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    subprocess.run(["bash", "-ec", command("cp ") + command("sed ")], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_recipe", None)


def test_the_commands_make_a_profile_with_the_recipe_and_plan_draws_it(folder: Path) -> None:
    profile = load_profile("my_profile.yaml")
    recipes = load_recipes(profile.recipes, profile.team)
    assert type(recipes["chain"]).__module__ == "my_recipe"
    assert {"moa", "moa-lite", "vote"} < set(recipes)
    [drawn] = [text for text in TEXTS if text.startswith("chain (")]
    assert drawn in report(profile)


def test_the_mistake_is_told_as_on_the_page(folder: Path) -> None:
    path = folder / "my_recipe.py"
    path.write_text(path.read_text().replace("run.propose", "run.propse"))
    [said] = [text for text in TEXTS if text.startswith("Error: ")]
    profile = load_profile("my_profile.yaml")
    with pytest.raises(ConfigError) as caught:
        load_recipes(profile.recipes, profile.team)
    assert said == f"Error: {caught.value}\n"


def test_the_code_on_the_page_is_that_of_the_example() -> None:
    [code] = [text for kind, text in BLOCKS if kind == "python"]
    assert code in (ROOT / "examples" / "my_recipe.py").read_text()


def test_the_table_has_a_row_for_each_model_and_recipe_that_was_asked() -> None:
    [asked] = re.findall(r"--recipes (\S+)", command(".venv/bin/python -m evaluation run"))
    assert re.findall(r"^\| `?([\w-]+)`? \| +[*\d]", PAGE, re.MULTILINE) == asked.split(",")
