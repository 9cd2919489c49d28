"""Questions with tools: the file's form, and the errors of wrong rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.datasets.loading import load
from evaluation.errors import EvaluationError
from tests.support.loops import TOOL_ROW, function


def loaded(path: Path, **changes: Any) -> Any:
    row = {name: value for name, value in {**TOOL_ROW, **changes}.items() if value != "absent"}
    (path / "mine.jsonl").write_text(json.dumps(row) + "\n")
    (item,) = load(str(path / "mine.jsonl")).items
    return item


def test_a_file_is_recognized_by_its_fields(tmp_path: Path) -> None:
    item = loaded(tmp_path)
    assert (item.dataset, item.id, item.skill, item.turns) == ("mine", "t-1", "calculate", (TOOL_ROW["question"],))
    assert (item.answer, item.scorer) == ("938982", "exact")
    assert list(item.tools.specs) == TOOL_ROW["tools"]
    assert list(item.tools.backends) == ["compute", "find"]


def test_the_held_out_questions_of_the_trio_have_every_skill() -> None:
    items = load("tools").items
    assert len(items) == 200
    assert {item.skill for item in items} == {"calculate", "lookup", "none"}
    for item in items:
        assert item.tools is not None
        assert bool(item.tools.first_call) == (item.skill != "none")
    assert {item.skill for item in load("thinking").items} == {"chain", "long_sum"}


def test_short_rows_have_defaults(tmp_path: Path) -> None:
    item = loaded(tmp_path, id="absent", skill="absent", answer=7)
    assert (item.id, item.skill, item.answer, item.tools.first_call) == ("1", "", "7", None)


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"skill": "calculate"}, {"compute"}),
        ({"skill": "lookup"}, {"find"}),
        ({"skill": "none"}, set()),
        ({"skill": "other"}, None),
        ({"skill": "calculate", "first_call": "play"}, {"play"}),
        ({"skill": "calculate", "first_call": None}, set()),
    ],
)
def test_the_expected_first_call(changes: dict[str, Any], first: set[str] | None, tmp_path: Path) -> None:
    assert loaded(tmp_path, **changes).tools.first_call == first


def test_another_scorer(tmp_path: Path) -> None:
    assert loaded(tmp_path, scorer="number").scorer == "number"


NO_NAME = {"type": "function", "function": {"description": "?"}}
PYTHON = {"kind": "python", "function": "json:nothing"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tools": []}, "Give 'tools' at least 1 entry."),
        ({"tools": [NO_NAME], "backends": {}}, "Set 'tools[0].function.name': it is required."),
        ({"tools": [function("a"), function("a")], "backends": {}}, "Change 'the row': two tools are named 'a'."),
        ({"backends": {"sum": {"kind": "calculator", "parameter": "x"}}}, "there is no such tool."),
        ({"backends": {"find": {"kind": "lookup", "parameter": "x"}}}, "Set 'backends.find.lookup.entries'"),
        ({"backends": {"find": {"kind": "search"}}}, "Change 'backends.find': "),
        ({"backends": {"find": PYTHON}}, "cannot import 'json:nothing': AttributeError"),
        ({"backends": {"find": {"kind": "python", "function": "nowhere:f"}}}, "ModuleNotFoundError"),
        ({"backends": {"find": {"kind": "python", "function": "math:pi"}}}, "'math:pi' is not a function"),
        ({"backends": {"find": {"kind": "python", "function": "json"}}}, "backends.find.python.function"),
        ({"scorer": "fuzzy"}, "Change 'scorer': there is no scorer 'fuzzy'; choose one of exact, contains"),
        ({"first_call": "sum"}, "'first_call' names 'sum', but there is no such tool."),
        ({"question": 3}, "Set 'question' to a string, not a number."),
        ({"tool": 1}, "Remove 'tool': there is no such field."),
    ],
)
def test_a_wrong_row_is_one_sentence_with_file_line_and_field(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError) as caught:
        loaded(tmp_path, **changes)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/mine.jsonl:1: ")
    assert sentence in text
    assert "\n" not in text


def test_a_missing_field_is_named_where_the_kind_is_given(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({"question": "?", "answer": "!", "tools": [function("a")]}))
    with pytest.raises(EvaluationError, match=r"mine\.jsonl:1: Set 'backends': it is required\.$"):
        load(f"tools={tmp_path}/mine.jsonl")
