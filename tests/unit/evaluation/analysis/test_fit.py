"""The plane through quality and diversity."""

import numpy as np
import pytest

from evaluation import papers
from evaluation.analysis.fit import TeamPoint, plane, planes, team_points
from tests.support.rows import row, team_row


@pytest.mark.parametrize("task", list(papers.PLANES))
def test_the_published_planes_are_recovered_from_teams_that_lie_near_them(task: str) -> None:
    """Sample teams around the published plane with the noise that its R2 implies, and recover a, b and R2.

    The papers print a, b and R2 but not the teams' diversity.
    """
    a, b, r2 = papers.PLANES[task]
    rng = np.random.default_rng(0)
    q, d = rng.normal(size=5000), rng.normal(size=5000)
    signal = a * q + b * d
    t = signal + rng.normal(size=5000) * np.sqrt(signal.var() * (1 / r2 - 1))
    found = plane(task, [TeamPoint(str(i), task, *values) for i, values in enumerate(zip(q, d, t, strict=True))])
    assert found is not None
    assert (found.a, found.b, found.r2) == (
        pytest.approx(a, rel=0.05),
        pytest.approx(b, rel=0.1),
        pytest.approx(r2, abs=0.03),
    )
    assert (found.a_sd > found.b_sd) is (a > b)


def test_an_exact_plane_is_found_exactly_and_in_comparable_units() -> None:
    points = [
        TeamPoint(str(i), "x", q, d, 0.5 * q + 0.1 * d - 0.2)
        for i, (q, d) in enumerate([(0.1, 1), (0.5, 2), (0.9, 1.5), (0.3, 3)])
    ]
    found = plane("x", points)
    assert found is not None
    assert (found.a, found.b, found.c, found.r2) == pytest.approx((0.5, 0.1, -0.2, 1.0))
    assert found.a_sd == pytest.approx(0.5 * np.std([0.1, 0.5, 0.9, 0.3]))


def test_too_few_or_too_similar_teams_have_no_plane() -> None:
    same = [TeamPoint(str(i), "x", 0.5, 2.0, 0.1 * i) for i in range(6)]
    assert plane("x", same) is None
    assert plane("x", same[:3]) is None
    flat = [TeamPoint(str(i), "x", 0.1 * i, float(i % 3), 1.0) for i in range(6)]
    assert plane("x", flat) is None


def test_team_points_are_means_over_answers() -> None:
    rows = [
        team_row("t", "1", [("a", "yes"), ("b", "yes")], "yes", by="c"),
        team_row("t", "2", [("a", "yes"), ("b", "qqq")], "no", by="c"),
        row("single", "1", "yes"),
    ]
    (point,) = team_points(rows)
    assert (point.arm, point.quality, point.accuracy) == ("t", 0.75, 0.5)
    assert point.diversity == pytest.approx(1.5, abs=0.01)
    assert planes(rows) == []
