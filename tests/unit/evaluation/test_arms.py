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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Set 'the file' to an object, not null."),
        ("arms: []", "Give 'arms' at least 1 entry."),
        ("arms: [a]", "Set 'arms[0]' to an object, not a string."),
        ("arms: [{name: a}]", "Set 'arms[0].model': it is required."),
        ("arms: [{name: 1, model: m}]", "Set 'arms[0].name' to a string, not a number."),
        ('arms: [{name: "a\\x1fb", model: m}]', "Change 'arms[0].name': it has control characters"),
        ("arms: [{name: a, model: m, name: b}]", "'name' of line 1 is given again in line 1; remove one of them."),
        ("arms: [{name: a, model: m, sampling: {temperature: .nan}}]", "a value that JSON cannot hold, such as .nan"),
        ("arms: [{name: a, model: m, moa: &x {y: *x}}]", "a value that JSON cannot hold"),
        ("arms: [{name: a, model: m, sampling: {stream: true}}]", "has 'stream'; remove it: answers are requested"),
        ("arms: [{name: a, model: m, sampling: {n: 2}}]", "has 'n'; remove it: use --samples."),
        ("arms: [{name: a, model: m, sampling: {model: b}}]", "has 'model'; remove it: it is the arm's 'model'."),
        ("arms: [{name: a, model: m, moa: {trace: false}}]", "has 'trace'; remove it: --no-trace leaves it out"),
        ("arms: " + "[" * 3000, "it is nested too deeply."),
        ("a: b: c", "is not YAML at line 1, column 5"),
        ("arms: [{name: dataset, model: m}]", "Rename the arm 'dataset'"),
        ("arms: [{name: a, model: m}, {name: a, model: n}]", "Duplicate arm names: a."),
    ],
)
def test_a_wrong_file_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "arms.yaml"
    path.write_text(text)
    with pytest.raises(EvaluationError) as refused:
        arms.checked(arms.from_file(path))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(EvaluationError, match=f"{path} cannot be read"):
            arms.from_file(path)


def test_an_id_on_the_command_line_is_printable() -> None:
    with pytest.raises(EvaluationError, match="--recipes: Change 'name': it has control characters"):
        arms.from_names("a\x1fb")
