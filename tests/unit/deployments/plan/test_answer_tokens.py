"""Tokens of answers, counted by running the recipes."""

import pytest

from deployments.plan.answer_tokens import ONE_MODEL, aggregator, calls_per_answer, tokens_per_answer
from tests.support.plans import PRICES, profile

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


def test_the_aggregator_is_that_of_the_team_or_the_first_model() -> None:
    assert aggregator(profile(team={"proposers": ["a", "b"], "aggregator": ["c", "a"]})) == "c"
    assert aggregator(profile(team={"proposers": ["a", "b"]}, recipes=[])) == "a"
