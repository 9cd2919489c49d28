"""Training questions; the held-out ones are refused."""

import json
from pathlib import Path

import pytest

from evaluation.datasets.loading import NAMED, load
from models.tiny import training_set
from models.tiny.questions import facts
from tests.support.dataset_rows import HUMAN_EVAL
from training.dataset import held_out_questions, load_questions
from training.errors import TrainingError


def written(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


ROW = {"id": "a", "skill": "arithmetic", "question": "What is 1234 + 1?", "answer": "1235"}


@pytest.mark.parametrize("name", NAMED)
def test_datasets_that_measure_are_refused_by_name(name: str) -> None:
    with pytest.raises(TrainingError, match=f"The dataset '{name}' is held out"):
        load_questions(name, None, "dataset")


def test_a_copy_of_the_held_out_questions_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "mine.jsonl"
    copy.write_text(NAMED["tiny"][1].read_text())
    with pytest.raises(TrainingError, match="is a held-out question"):
        load_questions(str(copy), 5, "dataset")


def test_one_held_out_question_among_others_is_refused_in_any_spelling(tmp_path: Path) -> None:
    held = load("tiny").items[0].turns[0]
    assert held
    path = written(tmp_path / "q.jsonl", ROW, {**ROW, "id": "b", "question": held.upper() + " !"})
    with pytest.raises(TrainingError, match="'b' is a held-out question"):
        load_questions(path, None, "dataset")


def test_questions_that_cannot_be_trained_on_are_refused(tmp_path: Path) -> None:
    turns = written(tmp_path / "mt.jsonl", {"question_id": 1, "category": "writing", "turns": ["a", "b"]})
    with pytest.raises(TrainingError, match="has 2 user turns"):
        load_questions(turns, None, "judge")
    open_ended = written(tmp_path / "open.jsonl", {"question_id": 1, "category": "writing", "turns": ["a"]})
    with pytest.raises(TrainingError, match="set --task-reward judge"):
        load_questions(open_ended, None, "exact")
    assert len(load_questions(open_ended, None, "judge").items) == 1
    with pytest.raises(TrainingError, match="Cannot read the dataset"):
        load_questions("missing.jsonl", None, "dataset")


def test_programs_and_task_rewards_fit_each_other(tmp_path: Path) -> None:
    words = written(tmp_path / "words.jsonl", ROW)
    with pytest.raises(TrainingError, match="'a' has no tests that could run with an answer's code; give questions"):
        load_questions(words, None, "code")
    code = written(tmp_path / "code.jsonl", HUMAN_EVAL)
    for reward in ("exact", "number", "choice", "f1"):
        with pytest.raises(TrainingError, match=f"a program, which the task reward '{reward}' cannot use"):
            load_questions(code, None, reward)
    for reward in ("code", "dataset", "judge"):
        assert len(load_questions(code, None, reward).items) == 1


def test_the_generator_makes_questions_that_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    training_set.main(["--questions", "90", "--seed", "3", "--out", str(path)])
    loaded = load_questions(str(path), None, "dataset")
    assert len(loaded.items) == 90
    assert {item.skill for item in loaded.items} == {"arithmetic", "words", "facts"}
    assert not {item.turns[0] for item in loaded.items} & held_out_questions()
    again = tmp_path / "again.jsonl"
    training_set.main(["--questions", "90", "--seed", "3", "--out", str(again)])
    assert again.read_text() == path.read_text()


def test_the_generator_asks_about_every_fact_equally_often() -> None:
    made = training_set.made(2 * 3 * len(facts()), seed=1)
    answers = [question.answer for question in made if question.skill == "facts"]
    assert sorted(answers) == sorted(2 * [fact.answer for fact in facts()])


def test_the_generator_refuses_more_questions_than_it_can_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(training_set.made(training_set.MOST, seed=1)) == training_set.MOST
    path = tmp_path / "questions.jsonl"
    with pytest.raises(SystemExit, match="2"):
        training_set.main(["--questions", str(training_set.MOST + 1), "--out", str(path)])
    assert "argument --questions: must be a whole number from 1 to 4000" in capsys.readouterr().err
    assert not path.exists()
