"""Self-MoA against mixed teams."""

from evaluation.analysis.mixing import by_mixing
from tests.support.rows import arms_of_teams


def test_self_moa_against_mixed_by_task_and_over_all() -> None:
    rows = [found.model_copy(update={"skill": {"1": "x", "2": "y"}[found.item]}) for found in arms_of_teams()]
    x, y, every = by_mixing(rows)
    assert (x.task, y.task, every.task) == ("data/x", "data/y", "all")
    assert x.self_moa is not None
    assert every.mixed is not None
    assert every.self_vs_mixed is not None
    assert (x.self_moa.accuracy.value, every.mixed.arm, every.self_vs_mixed.difference) == (0.0, "mixed", -0.5)
