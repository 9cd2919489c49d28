"""The Pareto front and the recommendation."""

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.analysis.recommend import Offer, offers, pareto_front, recommend
from evaluation.analysis.stats import wilson
from tests.support.rows import row

OFFERS = [
    Offer(name, cost, wilson(value, 100))
    for name, cost, value in [("small", 10, 0.6), ("slow", 90, 0.7), ("lite", 100, 0.84), ("full", 300, 0.86)]
]


def test_the_front_keeps_what_nothing_beats() -> None:
    waste = Offer("waste", 200, wilson(0.8, 100))
    assert [offer.arm for offer in pareto_front([*OFFERS, waste])] == ["small", "slow", "lite", "full"]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_front_is_exactly_what_is_not_dominated(values: list[tuple[int, int]]) -> None:
    every = [Offer(str(i), cost, wilson(value / 10, 10)) for i, (cost, value) in enumerate(values)]
    kept = {(offer.cost, offer.quality.value) for offer in pareto_front(every)}
    best = {
        (offer.cost, offer.quality.value)
        for offer in every
        if not any(
            other.cost <= offer.cost
            and other.quality.value >= offer.quality.value
            and (other.cost, other.quality.value) != (offer.cost, offer.quality.value)
            for other in every
        )
    }
    assert kept == best


@pytest.mark.parametrize(
    ("constraints", "chosen"),
    [
        ({}, "full"),
        ({"budget": 95}, "slow"),
        ({"min_accuracy": 0.85}, "full"),
        ({"min_accuracy": 0.65, "budget": 95}, "slow"),
        ({"min_accuracy": 0.99}, None),
        ({"budget": 5}, None),
    ],
)
def test_the_recommendation_keeps_to_the_constraints(constraints: dict[str, float], chosen: str | None) -> None:
    advice = recommend(OFFERS, "tokens", **constraints)
    assert (advice.chosen.arm if advice.chosen else None) == chosen
    assert advice.sentence.startswith("Use " + chosen if chosen else "No arm")


def test_a_cheap_or_accurate_alternative_is_named() -> None:
    assert "The most accurate arm is full (86.0%" in recommend(OFFERS, "tokens", min_accuracy=0.8).sentence
    assert "Cheaper and within its 95% interval: lite (84.0%" in recommend(OFFERS, "tokens").sentence
    assert "Cheaper" not in recommend(OFFERS[:3], "tokens").sentence
    assert "the cheapest arm is small (60.0%" in recommend(OFFERS, "tokens", budget=5).sentence
    assert "No arm has both" in recommend([], "usd").sentence


def test_arms_without_a_known_cost_are_not_offered() -> None:
    rows = [row("a", "1", "yes", prompt_tokens=None), row("b", "1", "yes")]
    assert [offer.arm for offer in offers(rows, attrgetter("tokens"))] == ["b"]
    assert offers(rows, attrgetter("usd")) == []


def test_arms_that_may_be_as_good_are_named() -> None:
    dearer = Offer("dear", 900, wilson(0.85, 100))
    said = recommend([Offer("best", 100, wilson(0.86, 100)), Offer("bad", 200, wilson(0.4, 100)), dearer], "tokens")
    assert said.sentence.endswith("Within its 95% interval, so perhaps as good, but not cheaper: dear.")


def test_the_sentence_has_the_tokens_of_an_answer_whatever_the_cost_is() -> None:
    rows = [row("a", "1", "yes"), row("a", "2", "yes"), row("b", "1", "yes"), row("b", "2", "no")]
    in_seconds = recommend(offers(rows, attrgetter("latency_s")), "latency_s").sentence
    assert "1 s per answer, 12 tokens)" in in_seconds
    assert "12 tokens per answer)" in recommend(offers(rows, attrgetter("tokens")), "tokens").sentence
