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
