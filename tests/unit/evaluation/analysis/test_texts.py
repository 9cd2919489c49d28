"""Similarity, diversity, and the plane through quality and diversity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendi_score.vendi import score_dual

from evaluation import papers
from evaluation.analysis.diversity import diversities, similarity_kernels, vendi_score
from evaluation.analysis.fit import TeamPoint, plane, planes, team_points
from evaluation.analysis.similarity import METRICS, rank_correlation, similarities
from tests.support.rows import agent, row, team_row


def test_vendi_counts_the_different_ones() -> None:
    assert vendi_score(np.ones((4, 4))) == pytest.approx(1.0)
    assert vendi_score(np.eye(4)) == pytest.approx(4.0)
    assert vendi_score(np.kron(np.eye(2), np.ones((2, 2)))) == pytest.approx(2.0)


def test_vendi_is_what_the_authors_package_computes() -> None:
    features = np.abs(np.random.default_rng(0).normal(size=(7, 5)))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert vendi_score(unit @ unit.T) == pytest.approx(float(score_dual(features)))


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_any_texts_have_between_one_and_all_different(texts: list[str]) -> None:
    found = vendi_score(similarity_kernels([texts])[0])
    assert 1 - 1e-6 <= found <= len(texts) + 1e-6


def test_short_answers_differ_too() -> None:
    same, different, close = similarity_kernels([["7", "7", "7"], ["7", "8", "9"], ["olleh", "olleg"]])
    assert vendi_score(same) == pytest.approx(1.0)
    assert vendi_score(different) == pytest.approx(3.0)
    assert 1 < vendi_score(close) < 2


def test_diversity_is_that_of_the_usable_first_layer() -> None:
    trace = [agent("a", "x y"), agent("b", "p q", position=1), agent("c", "", position=2, outcome="empty")]
    answered = row("t", "1", "x", trace=[*trace, agent("a", "z", layer=2)])
    assert diversities([answered, row("t", "2", "x", trace=trace[:1])]) == {answered.key: pytest.approx(2.0)}


def test_an_aggregator_that_copies_the_right_proposal_correlates() -> None:
    rows = [
        team_row("copies", str(i), {"a": f"wrong {i}", "b": "yes", "c": "something else"}, "yes", by="d")
        for i in range(4)
    ]
    rows.append(team_row("copies", "same", {"a": "yes", "b": "yes"}, "yes", by="d"))
    table = {entry.metric: entry for entry in similarities(rows)}
    assert set(table) == set(METRICS)
    for entry in table.values():
        assert (entry.answers, entry.ranked) == (5, 4)
        assert entry.to_right == pytest.approx(1.0)
        assert entry.to_wrong is not None
        assert entry.to_wrong < 0.5
        assert entry.correlation is not None
        assert entry.correlation > 0.8


def test_an_aggregator_that_follows_the_wrong_one_anticorrelates() -> None:
    rows = [team_row("misled", "1", {"a": "wrong", "b": "yes"}, "wrong", by="d")]
    assert [entry.correlation for entry in similarities(rows)] == [pytest.approx(-1.0)] * 3


def test_answers_without_a_scorer_or_proposals_have_no_similarity() -> None:
    assert similarities([row("single", "1", "yes"), row("open", "1", "x", scorer=None, trace=[agent("a", "x")])]) == []


def test_rank_correlation_of_a_constant_is_undefined() -> None:
    assert rank_correlation([0.1, 0.2], [1.0, 1.0]) is None
    assert rank_correlation([0.1, 0.2, 0.3], [0.0, 0.5, 1.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("task", list(papers.PLANES))
def test_the_published_planes_are_recovered_from_teams_that_lie_near_them(task: str) -> None:
    """The papers print a, b and R2 but not the teams' d: teams are drawn around the published plane, with the noise
    that its R2 implies, and the fit must find a, b and R2 again."""
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


def test_the_papers_averages_are_those_they_print() -> None:
    averages = {name: round(sum(values) / 3, 2) for name, values in papers.TEAMS.items()}
    assert averages == {"iimmdd": 58.38, "mmmddd": 60.04, "dddddd": 59.69}
    assert round(sum(papers.BEST_PER_TASK) / 3, 2) == 62.73
