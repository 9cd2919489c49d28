"""Similarity of an answer to its proposals."""

import pytest

from evaluation import scoring
from evaluation.analysis.similarity import METRICS, rank_correlation, similarities
from tests.support.rows import agent, row, team_row


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


def test_a_proposal_that_the_scorer_cannot_read_is_neither_right_nor_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky:
        def extract(self, text: str) -> str:
            if text == "odd":
                raise TypeError("unhashable")
            return text

        def same(self, extracted: str, reference: str) -> bool:
            return extracted == reference

    monkeypatch.setitem(scoring.SCORERS, "exact", Picky())
    answer = team_row("team", "1", {"a": "odd", "b": "yes"}, "yes", by="a")
    found = {entry.metric: entry for entry in similarities([answer])}
    assert [entry.to_wrong for entry in found.values()] == [None] * 3
    assert [entry.to_right for entry in found.values()] == pytest.approx([1.0] * 3)
