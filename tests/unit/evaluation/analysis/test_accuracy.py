"""Accuracy per arm and task, and one arm against another."""

import pytest

from evaluation.analysis.accuracy import accuracy, versus
from tests.support.rows import open_row, row


def test_samples_of_an_item_count_once() -> None:
    rows = [row("a", "1", "yes", sample=0), row("a", "1", "no", sample=1), row("a", "2", "yes")]
    (entry,) = accuracy(rows)
    assert entry.overall is not None
    assert (entry.overall.n, entry.overall.value) == (2, 0.75)


def test_accuracy_by_task_failures_and_order() -> None:
    rows = [
        row("good", "1", "yes", skill="x"),
        row("good", "2", "no", skill="y"),
        row("good", "3", "yes", skill="y", degraded=True),
        row("bad", "1", "no", skill="x"),
        row("bad", "2", "", skill="y", score=None, error="lost"),
    ]
    good, bad = accuracy(rows)
    assert (good.arm, bad.arm) == ("good", "bad")
    assert {name: part.value for name, part in good.tasks.items()} == {"data/x": 1.0, "data/y": 0.5}
    assert (good.macro, good.degraded, bad.failed) == (0.75, 1, 1)
    assert bad.overall is not None
    assert (bad.overall.n, bad.overall.value) == (2, 0.0)


def test_an_arm_that_fails_does_not_win_by_its_few_answers() -> None:
    """Regression test: with failures left out, one right answer of ten was an accuracy of 100%."""
    rows = [row("steady", str(i), "yes" if i < 8 else "no") for i in range(10)]
    rows += [row("lost", str(i), "", score=None, error="503: down") for i in range(9)] + [row("lost", "9", "yes")]
    steady, lost = accuracy(rows)
    assert (steady.arm, lost.arm, lost.failed) == ("steady", "lost", 9)
    assert lost.overall is not None
    assert (lost.overall.n, lost.overall.value) == (10, 0.1)


def test_a_failed_answer_to_an_open_question_has_no_score() -> None:
    failed = open_row("a", "2", "").model_copy(update={"error": "503: down"})
    (entry,) = accuracy([open_row("a", "1", "x").model_copy(update={"score": 0.75}), failed])
    assert entry.overall is not None
    assert (entry.overall.n, entry.overall.value) == (1, 0.75)


def test_arms_are_compared_on_the_items_that_both_answered() -> None:
    rows = [row("a", str(i), "yes") for i in range(10)]
    rows += [row("b", str(i), "yes" if i >= 8 else "no") for i in range(2, 10)]
    against = versus(rows, "a", "b")
    assert against is not None
    assert (against.n, against.difference) == (8, 0.75)
    assert against.p == pytest.approx(2 / 2**6)  # six items differ, all one way
    assert against.low <= 0.75 <= against.high
    assert versus(rows, "a", "none") is None
