"""The cost of an answer."""

import pytest

from evaluation.prices import Price, cost_usd
from evaluation.rows import Row
from tests.support.rows import agent, row


def test_a_cost_is_unknown_rather_than_too_small() -> None:
    prices = {"a": Price(prompt_usd=10.0, completion_usd=20.0, cached_usd=1.0)}
    known = agent("a", "x", prompt_tokens=10, completion_tokens=5, cached_tokens=4)
    assert cost_usd(row("t", "1", "x", trace=[known]), prices) == pytest.approx((6 * 10 + 4 * 1 + 5 * 20) / 1e6)
    for missing in (agent("b", "x"), agent("a", "x", prompt_tokens=None)):
        assert cost_usd(row("t", "1", "x", trace=[known, missing]), prices) is None
    single: Row = row("a", "1", "x", prompt_tokens=100, completion_tokens=0)
    assert cost_usd(single, prices) == pytest.approx(1e-3)
