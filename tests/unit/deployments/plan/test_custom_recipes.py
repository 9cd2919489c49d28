"""Mistakes of a custom recipe that show only when it runs: the plan and the start refuse it in one sentence."""

import logging
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from deployments.config import Profile, load_profile
from deployments.plan.checks import check_profile
from deployments.plan.report import report
from serving.errors import ConfigError
from tests.support.paths import ROOT

SOURCE = (ROOT / "examples" / "my_recipe.py").read_text()
ANSWER = "return run.answer(self.writer, Task(answers), fallbacks=self.chain)"
FAILED = "The recipe 'chain' cannot be used: its method `run`, tried with scripted answers, failed in FILE, line "
numbers = count()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("planned_recipe_")]:
        del sys.modules[name]


def profile_of(folder: Path, source: str) -> tuple[Profile, str]:
    """The tiny profile with the only recipe `chain`, whose class has this source, and the name of its file."""
    module = f"planned_recipe_{next(numbers)}"
    (folder / f"{module}.py").write_text(source)
    recipe = {"id": "chain", "strategy": f"{module}:Chain", "chain": ["tiny-qwen", "tiny-llama"], "writer": "tiny-qwen"}
    return Profile.model_validate({**load_profile("tiny").model_dump(), "recipes": [recipe]}), f"{module}.py"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "enumerate(self.chain)",
            "enumerate(self.chian)",
            f"{FAILED}36: AttributeError: 'Chain' object has no attribute 'chian'.",
        ),
        (
            "await run.propose",
            "run.propose",
            f'{FAILED}39: TypeError: can only concatenate tuple (not "coroutine") to tuple;'
            " write `await` before the call.",
        ),
        ("Task(answers), fall", "Tsk(answers), fall", f"{FAILED}40: NameError: name 'Tsk' is not defined."),
        (
            "strict=False",
            "strct=False",
            f"{FAILED}39: TypeError: Quorum.__init__() got an unexpected keyword argument 'strct'.",
        ),
        (
            ANSWER,
            'return "hello"',
            "The recipe 'chain' cannot be used: its method `run` returned a value of type str, not a stream;"
            " end it with `return run.answer(...)`.",
        ),
    ],
)
@pytest.mark.parametrize("check", [report, check_profile])
def test_a_mistake_is_one_sentence_without_a_traceback(
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    check: Callable[[Profile], object],
    old: str,
    new: str,
    sentence: str,
) -> None:
    assert old in SOURCE
    profile, file = profile_of(folder, SOURCE.replace(old, new))
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError) as caught:
        check(profile)
    assert str(caught.value).replace(file, "FILE") == sentence
    assert "Traceback" not in caplog.text


def test_a_recipe_that_refuses_scripted_answers_is_planned_without_prompts(folder: Path) -> None:
    source = SOURCE.replace(
        ANSWER, "from serving.errors import QuorumNotReached\n        raise QuorumNotReached(1, 0, 1)"
    )
    profile, _ = profile_of(folder, source)
    check_profile(profile)
    page = report(profile)
    assert "chain (planned_recipe_" in page
    assert "question ───>" not in page
