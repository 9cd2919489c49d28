"""Verdicts as scores."""

from evaluation.analysis.verdicts import with_verdicts
from evaluation.judging.verdicts import Comparison, Grade
from tests.support.rows import open_row, row


def test_a_dataset_is_scored_by_verdicts_of_one_kind() -> None:
    rows = [open_row("arm", str(item), "x") for item in range(3)]
    verdict = Comparison(judge="j", arm="arm", baseline="base", dataset="data", item="0", orders=(1.0, 1.0))
    weighted = [
        verdict.model_copy(update={"item": str(item), "weighted": True, "orders": (0.6, 0.6)}) for item in (1, 2)
    ]
    assert [found.score for found in with_verdicts(rows, [verdict, *weighted], [])] == [None, 0.6, 0.6]
    assert [found.score for found in with_verdicts(rows, [verdict], [])] == [1.0, None, None]


def test_verdicts_become_scores_only_where_no_scorer_spoke() -> None:
    rows = [row("arm", "1", "no"), open_row("arm", "2", "x"), open_row("base", "2", "y"), open_row("arm", "3", "z")]
    pair = Comparison(judge="j", arm="arm", baseline="base", dataset="data", item="2", orders=(1.0, 0.5))
    grade = Grade(judge="j", arm="arm", dataset="data", item="3", turn=1, rating=5.5)
    assert [found.score for found in with_verdicts(rows, [pair], [grade])] == [0.0, 0.75, 0.5, 0.5]
