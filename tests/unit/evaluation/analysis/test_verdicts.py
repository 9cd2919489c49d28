"""Verdicts as scores."""

import pytest

from evaluation.analysis.verdicts import with_verdicts
from evaluation.judging.verdicts import Comparison, Grade
from evaluation.rows import Row
from evaluation.verdict_choice import Source, VerdictChoice
from tests.support.rows import open_row, row


def pair(item: str, preference: float | None, **fields: object) -> Comparison:
    values = {"judge": "j", "arm": "arm", "baseline": "base", "dataset": "data", **fields}
    return Comparison(item=item, orders=(preference, preference), **values)  # type: ignore[arg-type]


def grade(item: str, rating: float | None, turn: int = 1, **fields: object) -> Grade:
    values = {"judge": "j", "arm": "arm", "dataset": "data", **fields}
    return Grade(item=item, rating=rating, turn=turn, **values)  # type: ignore[arg-type]


def scored(rows: list[Row], pairs: list[Comparison], grades: list[Grade], **choice: str) -> list[float | None]:
    return [found.score for found in with_verdicts(rows, pairs, grades, VerdictChoice(**choice)).rows]


OPEN = [open_row("arm", "1", "x"), open_row("base", "1", "y")]


def test_the_baseline_s_own_answers_have_no_score() -> None:
    """Regression test: its 50% by definition stood among the accuracies, and could win."""
    found = with_verdicts(OPEN, [pair("1", 0.75)], [])
    assert [row.score for row in found.rows] == [0.75, None]
    assert found.measures == {"data": Source("written", "j", "base")}
    assert found.doubts == ()


def test_a_scorer_s_score_stays() -> None:
    found = with_verdicts([row("arm", "1", "no")], [pair("1", 1.0)], [])
    assert ([each.score for each in found.rows], found.measures) == ([0.0], {"data": None})


@pytest.mark.parametrize(
    ("other", "choice", "chosen"),
    [
        (pair("1", 0.0, judge="k"), {"judge": "k"}, 0.0),
        (pair("1", 0.0, judge="k"), {"judge": "j"}, 1.0),
        (pair("1", 0.0, baseline="other"), {"baseline": "other"}, 0.0),
        (pair("1", 0.25, weighted=True), {"kind": "weighted"}, 0.25),
        (pair("1", 0.25, weighted=True), {"kind": "written"}, 1.0),
    ],
)
def test_verdicts_of_two_judges_baselines_or_kinds_are_never_mixed(
    other: Comparison, choice: dict[str, str], chosen: float
) -> None:
    """Regression test: the last line of the file won."""
    pairs = [pair("1", 1.0), other]
    mixed = with_verdicts(OPEN, pairs, [])
    assert ([each.score for each in mixed.rows], mixed.measures) == ([None, None], {})
    assert "cannot be mixed" in mixed.doubts[0]
    assert "Choose with --judge, --baseline, --verdicts" in mixed.doubts[0]
    assert scored(OPEN, pairs, [], **choice)[0] == chosen


def test_ratings_and_comparisons_are_never_mixed() -> None:
    assert scored(OPEN, [pair("1", 1.0)], [grade("1", 5.5)]) == [None, None]
    assert scored(OPEN, [pair("1", 1.0)], [grade("1", 5.5)], kind="grades") == [0.5, None]


def test_a_conversation_has_a_score_if_all_its_turns_have_a_rating() -> None:
    two = OPEN[0].model_copy(update={"questions": ("q", "r"), "answers": ("a", "b")})
    assert scored([two], [], [grade("1", 1.0), grade("1", 10.0, turn=2)]) == [0.5]
    assert scored([two], [], [grade("1", 1.0), grade("1", None, turn=2)]) == [None]


@pytest.mark.parametrize(
    ("pairs", "choice", "said"),
    [
        ([pair("1", None)], {}, "No verdict on 'data' can be read: comparisons with 'base' by 'j'"),
        ([pair("1", 1.0)], {"judge": "k"}, "'data' has no verdicts of the chosen kind; it has comparisons with 'base'"),
        ([], {}, "'data' has no scores: have its answers judged"),
        ([pair("1", None, error="404: no model")], {}, "'data' has no scores"),
    ],
)
def test_what_cannot_be_told_is_said(pairs: list[Comparison], choice: dict[str, str], said: str) -> None:
    found = with_verdicts(OPEN, pairs, [], VerdictChoice(**choice))
    assert found.doubts[0].startswith(said)
    assert {each.score for each in found.rows} == {None}
