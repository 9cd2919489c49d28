"""Files for alpaca_eval and FastChat, in the forms that their loaders read."""

import json
from pathlib import Path

import pytest

from evaluation.__main__ import main
from evaluation.errors import EvaluationError
from evaluation.export import export
from evaluation.rows import Row
from evaluation.store import MANIFEST, Appender, keep_manifest
from tests.support.rows import open_row


def answered(arm: str, item: str, *answers: str, **fields: object) -> Row:
    row = open_row(arm, item, answers[-1], **fields)
    return row.model_copy(update={"questions": tuple(f"q{i}" for i in range(len(answers))), "answers": answers})


def test_outputs_of_alpaca_eval(tmp_path: Path) -> None:
    rows = [answered("moa-lite", item, f"said {item}", skill="vicuna") for item in ("2", "1")]
    (path,) = export(rows, "alpaca_eval", tmp_path)
    assert path == tmp_path / "moa-lite.json"
    assert json.loads(path.read_text()) == [
        {"dataset": "vicuna", "instruction": "q0", "output": f"said {item}", "generator": "moa-lite"}
        for item in ("2", "1")
    ]


def test_of_several_samples_alpaca_eval_gets_the_first(tmp_path: Path) -> None:
    rows = [answered("a", "1", "second", sample=1), answered("a", "1", "first")]
    (path,) = export(rows, "alpaca_eval", tmp_path)
    assert [entry["output"] for entry in json.loads(path.read_text())] == ["first"]


def test_model_answers_of_fastchat(tmp_path: Path) -> None:
    rows = [answered("a", "101", "x", "y", sample=1), answered("a", "101", "v", "w"), answered("a", "81", "t", "u")]
    (path,) = export(rows, "fastchat", tmp_path)
    assert path == tmp_path / "a.jsonl"
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert (first["question_id"], second["question_id"]) == (81, 101)
    assert set(first) == {"question_id", "answer_id", "model_id", "choices", "tstamp"}
    assert second["choices"] == [{"index": 0, "turns": ["v", "w"]}, {"index": 1, "turns": ["x", "y"]}]
    assert first["model_id"] == path.stem  # FastChat takes the model's name from the file's
    assert first["answer_id"] != second["answer_id"]


def test_ids_that_are_no_numbers_stay_texts(tmp_path: Path) -> None:
    (path,) = export([answered("a", "007", "x"), answered("a", "q-1", "x")], "fastchat", tmp_path)
    assert [json.loads(line)["question_id"] for line in path.read_text().splitlines()] == ["007", "q-1"]


def test_names_of_arms_become_names_of_files(tmp_path: Path) -> None:
    (path,) = export([answered("../a/b: ×6", "1", "x")], "fastchat", tmp_path)
    assert path.parent == tmp_path
    assert path.name == "_a_b_ _6.jsonl"
    with pytest.raises(EvaluationError, match="Two arms would be written to"):
        export([answered("a/b", "1", "x"), answered("a:b", "1", "x")], "fastchat", tmp_path)


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([answered("a", "1", "x")], {"arms": ["b"]}, "The run has no arm 'b'; its arms are: a"),
        ([answered("a", "1", "x")], {"dataset": "d"}, "The run has no dataset 'd'; its datasets are: data"),
        ([answered("a", "1", "x"), answered("a", "1", "x", dataset="e")], {}, "choose one with --dataset"),
        ([answered("a", "1", "x", "y")], {}, "takes questions of one turn; '1' has 2"),
        ([answered("a", "1", "x"), answered("b", "2", "x")], {}, "Arm 'a' has no answer to 1 of 2 items"),
        ([answered("a", "1", "42"), answered("a", "2", "4.5")], {}, "the answers of 'a': every one is a number alone"),
        ([answered("a", "1", "x", error="down")], {"partial": True}, "Arm 'a' has no answers to 'data'"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    rows: list[Row], options: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError, match=said):
        export(rows, "alpaca_eval", tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Appender(tmp_path / "rows.jsonl") as appender:
        for item in ("1", "2"):
            appender.append(answered("a", item, "é"))
        appender.append(answered("a", "3", "", error="503: down"))
    keep_manifest(tmp_path / MANIFEST, {"arm": {"a": {}, "later": {}}})
    asking = ["export", str(tmp_path), "--format", "fastchat", "--out", str(tmp_path / "answers")]
    assert main(asking) == 2
    assert "leave these items out with --partial" in capsys.readouterr().err
    assert main([*asking, "--partial"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/answers/a.jsonl\n"
    assert len((tmp_path / "answers" / "a.jsonl").read_text(encoding="utf-8").splitlines()) == 2
