"""Tokens of answers, counted by running the recipes."""

import pytest

from deployments.plan.answer_tokens import (
    ONE_MODEL,
    aggregator,
    calls_per_answer,
    cases_per_answer,
    tokens_per_answer,
    total_tokens,
)
from tests.support.plans import PRICES, profile

TEAM = {"proposers": ["a", "b", "c"], "aggregator": "a", "solo": "a", "judge": "a"}
ASKED, ANSWERED = PRICES.assumed.prompt_tokens, PRICES.assumed.answer_tokens


async def test_tokens_of_an_answer_are_those_of_the_calls() -> None:
    found = await tokens_per_answer(profile(), PRICES.assumed)
    assert found[ONE_MODEL] == {"a": (ASKED, ANSWERED)}
    assert found["moa-lite"]["b"] == (ASKED, ANSWERED)
    prompt, completion = found["moa-lite"]["a"]
    assert completion == 2 * ANSWERED  # as proposer and as aggregator
    # References, and the words around them.
    assert 2 * ASKED + 3 * ANSWERED < prompt < 2 * ASKED + 3 * ANSWERED + 200
    assert found["moa"]["b"][1] == 2 * ANSWERED
    assert found["moa"]["c"][0] > 2 * ASKED + 3 * ANSWERED


@pytest.mark.parametrize(("recipe", "samples"), [("moa-mixed", 2), ("vote", 2)])
async def test_several_samples_of_one_model_are_all_counted(recipe: str, samples: int) -> None:
    found = await tokens_per_answer(profile(recipes=[recipe]), PRICES.assumed)
    assert found[recipe]["b"][1] == samples * ANSWERED


async def test_samples_of_one_prompt_are_one_call() -> None:
    solo = profile(recipes=["self-moa"], team={"solo": "a", "aggregator": "a"})
    found = await calls_per_answer(solo, PRICES.assumed)
    proposals, _ = found["self-moa"]["a"]
    assert (proposals.prompt_tokens, proposals.answer_tokens, proposals.choices) == (ASKED, ANSWERED, 6)


async def test_a_cascade_costs_between_one_model_and_the_draft_and_its_team() -> None:
    """At worst: the draft, three proposals, and an aggregator that reads four references."""
    found = await cases_per_answer(profile(recipes=["cascade", "moa-lite"], team=TEAM), PRICES.assumed)
    assert [*found] == ["cascade, at best", "cascade, at worst", "moa-lite", ONE_MODEL]
    assert total_tokens(found["cascade, at best"]) == ASKED + ANSWERED == total_tokens(found[ONE_MODEL])
    worst = found["cascade, at worst"]
    assert sum(len(calls) for calls in worst.values()) == 5
    words_around = total_tokens(worst) - 5 * (ASKED + ANSWERED) - 4 * ANSWERED
    assert 0 < words_around < 200
    assert total_tokens(worst) > ASKED + ANSWERED + total_tokens(found["moa-lite"])


async def test_other_recipes_that_depend_on_the_answers_have_two_cases() -> None:
    """A router between one model and a team, judges that see candidates again, a plan with all its parts."""
    recipes = ["moa", "moa-lite", "vote", "rank", "blend", "plan", "debate", "auto", "adaptive"]
    found = await cases_per_answer(profile(recipes=recipes, team=TEAM), PRICES.assumed)
    two = {name.removesuffix(", at worst") for name in found if name.endswith(", at worst")}
    assert two == {"rank", "blend", "plan", "auto"}
    for name in two:
        assert total_tokens(found[f"{name}, at best"]) < total_tokens(found[f"{name}, at worst"])
    assert total_tokens(found["auto, at worst"]) == total_tokens(found["moa-lite"])


async def test_short_answers_that_agree_spare_the_aggregator() -> None:
    short = PRICES.assumed.model_copy(update={"answer_tokens": 10})
    found = await cases_per_answer(profile(recipes=["adaptive"], team=TEAM), short)
    calls = {name: sum(map(len, models.values())) for name, models in found.items()}
    assert calls == {"adaptive, at best": 2, "adaptive, at worst": 4, ONE_MODEL: 1}


def test_the_aggregator_is_that_of_the_team_or_the_first_model() -> None:
    assert aggregator(profile(team={"proposers": ["a", "b"], "aggregator": ["c", "a"]})) == "c"
    assert aggregator(profile(team={"proposers": ["a", "b"]}, recipes=[])) == "a"
