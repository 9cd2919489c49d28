"""Wilson intervals and paired tests."""

import pytest

from evaluation.analysis.stats import paired, wilson


def test_wilson_is_the_textbook_interval() -> None:
    share = wilson(0.9, 10)
    assert (share.low, share.high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))
    assert wilson(1.0, 5).high == 1.0
    assert wilson(0.0, 5).low == 0.0


def test_arms_that_never_differ_have_no_evidence() -> None:
    same = paired("a", "b", {1: 1.0, 2: 0.0}, {1: 1.0, 2: 0.0})
    assert same is not None
    assert (same.difference, same.p) == (0.0, 1.0)
