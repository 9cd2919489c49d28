"""Votes of proposals by their short answers."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.conversation import ToolCall
from serving.recipes.voting import majority, probability_below, upset_probability, votes
from serving.references import Draft, Reference
from serving.runtime.task import Arrived


def references(*texts: str) -> tuple[Reference, ...]:
    return tuple(Reference("m", text) for text in texts)


def test_equal_answers_are_votes_for_the_same() -> None:
    assert votes(references("It is 0.5.", "so 1/2", "It is 3", "no idea"), "number") == {
        ("text", "1/2"): 2,
        ("text", "3"): 1,
    }


def test_calls_are_votes_too_and_no_text_is_a_vote_for_calls() -> None:
    call = ToolCall("c1", "look", "{}")
    drafts = [Draft("", (call,), ballot) for ballot in ("[look]", None, "[look]")]
    given = (*references("calls [look]", "[look]"), *(Reference("m", "prose", draft=draft) for draft in drafts))
    assert votes(given, "text") == {("text", "calls [look]"): 1, ("text", "[look]"): 1, ("calls", "[look]"): 2}
    assert majority(given, "text") is given[2]


def test_the_first_proposal_of_the_most_frequent_answer_wins() -> None:
    given = references("It is 3", "It is 0.5.", "so 1/2")
    assert majority(given, "number") is given[1]


def test_a_tie_is_won_by_the_earlier_proposal() -> None:
    given = references("no idea", "It is 3", "It is 4")
    assert majority(given, "number") is given[1]


def test_without_any_answer_the_first_proposal_wins() -> None:
    given = references("no idea", "none")
    assert majority(given, "number") is given[0]


# -- the end of a vote before all have answered --------------------------------------------------------------------

LETTERS = st.sampled_from(["x", "y", "z"])


def arrived(answers: list[str | None]) -> Arrived:
    """Answers by slot in declared order; None: missing."""
    known = [place for place, answer in enumerate(answers) if answer is not None]
    settled = next((place for place, answer in enumerate(answers) if answer is None), len(answers))
    found = references(*(answer for answer in answers if answer is not None))
    return Arrived(found, sum(place < settled for place in known), answers.count(None))


def winner(answers: Sequence[str]) -> str:
    return majority(references(*answers), "text").text


@settings(deadline=None)
@given(st.lists(st.none() | LETTERS, min_size=1, max_size=6))
def test_a_vote_is_certain_only_if_no_missing_answer_can_change_it(answers: list[str | None]) -> None:
    found = arrived(answers)
    if not found.references:
        assert upset_probability(found, "text") == 1
        return
    missing = answers.count(None)
    ends = set()
    for more in product(["x", "y", "z", "unheard of"], repeat=missing):
        rest = iter(more)
        ends.add(winner([next(rest) if answer is None else answer for answer in answers]))
    assert (upset_probability(found, "text") == 0) == (ends == {winner([a for a in answers if a is not None])})


@settings(deadline=None)
@given(st.lists(st.none() | LETTERS, min_size=1, max_size=12))
def test_the_probability_of_another_winner_is_one(answers: list[str | None]) -> None:
    assert 0 <= upset_probability(arrived(answers), "text") <= 1


def test_the_probability_of_another_winner_is_the_beta_binomial_one() -> None:
    assert upset_probability(arrived(["x", "x", None, None, None, None]), "text") == pytest.approx(1 / 35)
    # Of the three missing votes the leader must get one: B(3, 5) / B(3, 2) that it gets none.
    assert upset_probability(arrived(["x", "x", "y", None, None, None]), "text") == pytest.approx(12 / 105)


def test_probabilities_sum_to_one() -> None:
    assert probability_below(9, lead=3, others=2, missing=8) == pytest.approx(1)
