"""The list of files that a request crosses, held against the code and against a run."""

import ast
import re
import sys
from types import FrameType
from typing import Any

import pytest

from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.api import ask
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
SECTION = PAGE.split("file by file\n")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| `([\w/.]+\.py)` \| (.+?) \|", SECTION, re.MULTILINE)
CONTRACT = {"serving/types.py", "serving/usage.py", "serving/engine.py", "serving/failures.py"}


def test_a_streamed_request_crosses_at_most_44_files() -> None:
    files = [file for file, _ in ROWS]
    assert len(files) == len(set(files))
    assert 20 < len(files) <= 44


@pytest.mark.parametrize(("file", "defines"), ROWS)
def test_each_file_defines_what_is_said_of_it(file: str, defines: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    defined = {
        node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert set(re.findall(r"`(\w+)`", defines)) <= defined


async def test_a_run_crosses_exactly_the_listed_files_of_serving() -> None:
    models = {name: ScriptedEngine(name, f"{name} says it", itl_s=0.001) for name in "abc"}
    recipes = load_recipes(["moa-lite"], {"proposers": list(models), "aggregator": "a"})
    orchestrator = Orchestrator(models, recipes)
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    crossed: set[str] = set()
    package = f"{ROOT}/serving/"

    def note(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(package):
            crossed.add(frame.f_code.co_filename.removeprefix(f"{ROOT}/"))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        response = await ask(app, model="moa-lite", stream=True)
    finally:
        sys.setprofile(before)
    assert response.status_code == 200
    listed = {file for file, _ in ROWS if file.startswith("serving/")}
    # In the place of RemoteEngine and what is behind it.
    scripted = {"serving/engines/scripted.py", "serving/engines/scripted_tokens.py"}
    assert crossed - scripted == listed | CONTRACT
