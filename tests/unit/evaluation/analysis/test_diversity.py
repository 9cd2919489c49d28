"""The Vendi score of proposals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendi_score.vendi import score_dual

from evaluation.analysis.diversity import diversities, similarity_kernels, vendi_score
from tests.support.rows import agent, row


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
