"""Accuracy by number of proposers."""

from evaluation.analysis.proposers import by_proposers
from tests.support.rows import LAYERED, arms_of_teams


def test_accuracy_by_number_of_proposers() -> None:
    points = {(p.aggregator, p.setting, p.proposers): p for p in by_proposers(arms_of_teams())}
    assert {key: point.accuracy.value for key, point in points.items()} == {
        ("a", "one model", 1): 0.5,
        ("a", "one model", 2): 0.5,
        ("a", "several models", 1): 0.5,
        ("a", "several models", 2): 1.0,
        ("b", "several models", 2): 0.5,
    }
    assert points["a", "one model", 1].arms == points["a", "several models", 1].arms == ("one",)


def test_three_layers_do_not_count_as_more_proposers() -> None:
    assert by_proposers([LAYERED]) == []
