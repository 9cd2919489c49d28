"""Dataset files: recognized kinds, parsed items, and the errors of invalid files."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.datasets.loading import TINY_HELDOUT, load, load_all
from evaluation.errors import EvaluationError

ROWS: dict[str, dict[str, Any]] = {
    "tiny": {"id": "a-1", "skill": "sums", "question": "1+1?", "answer": "2"},
    "gsm8k": {"question": "Two and two?", "answer": "2 + 2 = 4\n#### 4"},
    "math": {"problem": "Half of 1?", "solution": "so \\boxed{\\frac12}", "type": "Algebra"},
    "mmlu": {"question": "Which?", "choices": ["x", "y"], "answer": 1, "subject": "letters"},
    "crux": {"code": "def f(x):\n    return x", "input": "1", "output": "1", "id": "sample_0"},
    "alpaca_eval": {"instruction": "Say hi", "output": "Hi!", "generator": "base", "dataset": "helpful_base"},
    "mt_bench": {"question_id": 81, "category": "writing", "turns": ["Write.", "Rewrite."], "reference": ["w", "r"]},
}


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", ROWS)
def test_a_file_is_recognized_by_its_fields_and_named_after_itself(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path / "mine.jsonl", ROWS[kind])
    guessed, named = load(str(path)), load(f"{kind}={path}")
    assert guessed == named
    assert (guessed.name, guessed.items[0].dataset) == ("mine", "mine")


@pytest.mark.parametrize(
    ("kind", "answer", "scorer", "skill"),
    [
        ("tiny", "2", "exact", "sums"),
        ("gsm8k", "4", "number", ""),
        ("math", "\\frac12", "boxed", "Algebra"),
        ("mmlu", "B", "choice", "letters"),
        ("crux", "1", "literal", ""),
        ("alpaca_eval", None, None, "helpful_base"),
        ("mt_bench", None, None, "writing"),
    ],
)
def test_an_item_has_its_kinds_answer_scorer_and_skill(
    kind: str, answer: str | None, scorer: str | None, skill: str, tmp_path: Path
) -> None:
    (item,) = load(str(written(tmp_path / "data.jsonl", ROWS[kind]))).items
    assert (item.answer, item.scorer, item.skill) == (answer, scorer, skill)


def test_prompts_hold_the_question_and_every_choice(tmp_path: Path) -> None:
    (item,) = load(str(written(tmp_path / "data.jsonl", ROWS["mmlu"]))).items
    assert "Which?" in item.turns[0]
    assert "A. x\nB. y" in item.turns[0]


def test_conversations_keep_their_turns_and_references(tmp_path: Path) -> None:
    (item,) = load(str(written(tmp_path / "data.jsonl", ROWS["mt_bench"]))).items
    assert item.turns == ("Write.", "Rewrite.")
    assert item.references == ("w", "r")


def test_a_json_array_is_read_like_lines(tmp_path: Path) -> None:
    path = tmp_path / "alpaca.json"
    path.write_text(json.dumps([ROWS["alpaca_eval"], {"instruction": "Bye"}]))
    first, second = load(str(path)).items
    assert (first.baseline, second.baseline) == ("Hi!", None)


def test_the_held_out_questions_ship_with_the_repository() -> None:
    held_out = load("tiny")
    assert held_out.path == TINY_HELDOUT
    assert len(held_out.items) == 300
    assert len({item.skill for item in held_out.items}) == 3


def test_a_limit_takes_items_from_the_whole_file() -> None:
    skills = [item.skill for item in load("tiny", limit=30).items]
    assert len(skills) == 30
    assert len(set(skills)) == 3


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(EvaluationError, match="Set the limit to at least 1 item, not 0"):
        load("tiny", limit=0)


def test_ids_are_the_numbers_of_the_rows_where_a_file_has_none(tmp_path: Path) -> None:
    rows = [{**ROWS["gsm8k"], "id": None}, ROWS["gsm8k"]]
    assert [item.id for item in load(str(written(tmp_path / "data.jsonl", *rows))).items] == ["1", "2"]


@pytest.mark.parametrize(("file", "name"), [("v1.2.jsonl", "v1.2"), ("v1.2.jsonl.gz", "v1.2"), ("data", "data")])
def test_a_dataset_has_the_name_of_its_file(file: str, name: str, tmp_path: Path) -> None:
    assert load(str(written(tmp_path / file, ROWS["gsm8k"]))).name == name


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    first = load(str(written(tmp_path / "a.jsonl", ROWS["tiny"]))).sha256
    assert load(str(written(tmp_path / "a.jsonl", {**ROWS["tiny"], "answer": "3"}))).sha256 != first


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ('{"a": 1}\n', "Cannot tell the kind"),
        ("[1\n", "data.jsonl"),
        ('{"id": 1, "skill": "s", "question": "q", "answer": "a"}\n' * 2, "data.jsonl:2: duplicate id '1'"),
        ('{"question": "q", "choices": ["x"], "answer": 3}\n', "data.jsonl:1"),
        ('{"problem": "p"}\n', "data.jsonl:1: the row has neither 'answer' nor"),
        ("[1]\n", "object"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(content)
    with pytest.raises(EvaluationError, match=said):
        load(str(tmp_path / "data.jsonl"))


def test_unknown_kinds_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="Unknown dataset kind 'gsm'"):
        load(f"gsm={tmp_path}/x.jsonl")
    with pytest.raises(EvaluationError, match="Cannot read the dataset"):
        load(f"{tmp_path}/none.jsonl")


def test_two_datasets_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "data.jsonl", ROWS["tiny"])
    with pytest.raises(EvaluationError, match="Two datasets are named 'data'"):
        load_all([f"{tmp_path}/a/data.jsonl", f"{tmp_path}/b/data.jsonl"])
