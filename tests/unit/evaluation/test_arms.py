"""Arms, by name and from a file."""

from pathlib import Path

import pytest

from evaluation import arms
from evaluation.arms import Arm
from evaluation.errors import EvaluationError


def test_arms_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "arms.yaml"
    path.write_text("arms:\n  - {name: two, model: moa-lite, moa: {models: [a, b]}, sampling: {temperature: 0}}\n")
    assert arms.from_file(path) == [
        Arm(name="two", model="moa-lite", moa={"models": ["a", "b"]}, sampling={"temperature": 0})
    ]
    path.write_text("arms:\n  - {name: two, modle: moa-lite}\n")
    with pytest.raises(EvaluationError, match="modle"):
        arms.from_file(path)


@pytest.mark.parametrize(("names", "said"), [("", "No arms given"), ("a,b,a", "Duplicate arm names: a")])
def test_arms_must_be_there_and_differ(names: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        arms.checked(arms.from_names(names))


def test_fields_of_thinking_are_fields_of_the_request() -> None:
    arm = Arm(
        name="a",
        model="m",
        sampling={"temperature": 0},
        reasoning_effort="low",
        chat_template_kwargs={"enable_thinking": True},
    )
    own = {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": True}}
    assert arm.fields == {"temperature": 0, **own}
    assert arm.settings == {"name": "a", "model": "m", "moa": {}, "sampling": {"temperature": 0}, **own}


def test_an_arm_without_them_has_the_settings_that_older_runs_have() -> None:
    assert Arm(name="a", model="m").settings == {"name": "a", "model": "m", "moa": {}, "sampling": {}}


def test_fields_of_thinking_stand_in_one_place(tmp_path: Path) -> None:
    path = tmp_path / "arms.yaml"
    path.write_text("arms:\n  - {name: a, model: m, sampling: {reasoning_effort: low}}\n")
    with pytest.raises(EvaluationError, match="has 'reasoning_effort'; move it out of 'sampling'"):
        arms.from_file(path)
    path.write_text("arms:\n  - {name: a, model: m, reasoning_effort: loud}\n")
    with pytest.raises(EvaluationError, match="reasoning_effort"):
        arms.from_file(path)
