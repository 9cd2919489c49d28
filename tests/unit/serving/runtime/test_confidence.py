"""Confidence of answers from the log probabilities of their tokens."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.references import Reference
from serving.runtime.confidence import Groups, lowest_confidence, thresholds, token_confidence
from serving.types import TokenLogprob


def token(*logprobs: float) -> TokenLogprob:
    return TokenLogprob("x", logprobs[0], top=tuple(TokenLogprob("x", value) for value in logprobs))


def tokens(*confidences: float) -> list[TokenLogprob]:
    return [token(-value, -value) for value in confidences]


def test_a_peaked_distribution_is_a_confident_one() -> None:
    sure, unsure = token(math.log(0.98), math.log(0.01), math.log(0.01)), token(*[math.log(1 / 3)] * 3)
    assert (token_confidence(sure) or 0) > (token_confidence(unsure) or 0)


def test_an_excluded_alternative_is_no_infinite_confidence() -> None:
    assert token_confidence(token(0.0, -math.inf)) == 50.0
    assert token_confidence(token(0.0, math.nan)) == 50.0


def test_without_alternatives_there_is_no_confidence() -> None:
    assert token_confidence(TokenLogprob("x", -1.0)) is None
    assert lowest_confidence(None, 2) is None
    assert lowest_confidence([TokenLogprob("x", -1.0)], 2) is None


@given(st.lists(st.floats(0, 50), min_size=1, max_size=30), st.integers(1, 8))
def test_the_confidence_of_an_answer_is_that_of_its_lowest_group(values: list[float], window: int) -> None:
    groups = [values[start : start + window] for start in range(max(len(values) - window, 0) + 1)]
    lowest = min(sum(group) / len(group) for group in groups)
    assert lowest_confidence(tokens(*values), window) == pytest.approx(lowest, abs=1e-9)


def test_a_group_is_compared_once_it_is_whole() -> None:
    groups = Groups(3)
    groups.add(tokens(1.0, 2.0))
    assert (groups.now, groups.lowest) == (None, 1.5)
    groups.add(tokens(3.0, 10.0))
    assert (groups.now, groups.lowest) == (5.0, 2.0)


def test_thresholds_are_percentiles_of_each_model() -> None:
    known = [Reference("a", "x", confidence=float(value)) for value in range(1, 12)]
    others = [Reference("b", "x", confidence=0.5), Reference("c", "x")]
    found = thresholds((*known, *others), 0.9)
    assert found == {"a": pytest.approx(2.0), "b": 0.5}
    assert thresholds(tuple(known), 0.1)["a"] == pytest.approx(10.0)
