"""Cost of a recipe computed before a run, compared with the calls and tokens of the run."""

from typing import Any

import pytest

from serving.recipes import load_recipes
from serving.recipes.cost import Cost, costliest
from serving.types import Sampling
from tests.support.recipes import TEAM, Ask, Trio, outcomes, run


def cost(recipe: dict[str, Any], *others: str, max_tokens: int = 10) -> Cost:
    recipes = load_recipes([recipe, *others], TEAM)
    return next(iter(recipes.values())).cost(Sampling(max_tokens=max_tokens), recipes)


def test_a_plan_that_cannot_be_read_costs_every_executor() -> None:
    plan = {"preset": "plan", "executors": ["a", "b", "c", "b", "c"], "parts": 2}
    assert cost(plan) == Cost(7, 70)
    assert cost({**plan, "parts": 6}) == Cost(8, 80)


def test_what_runs_as_the_answer_costs_what_an_answer_does() -> None:
    cascade = {"preset": "cascade", "escalate": "a", "proposal_max_tokens": 3}
    assert cost(cascade) == Cost(2, 20)
    debate = {"preset": "debate", "rounds": 3, "proposal_max_tokens": 3}
    assert cost(debate) == Cost(5, 3 * 10 + 2 * 3)


@pytest.mark.parametrize(
    "escalate", ["rank", "blend", "self-moa-seq", "vote", "moa-lite", "adaptive", "plan", "debate"]
)
@pytest.mark.parametrize("between", [False, True])
async def test_an_answer_given_before_is_counted(trio: Trio, ask: Ask, escalate: str, between: bool) -> None:
    trio["b"].logprob = -5.0
    auto = {"id": "x", "strategy": "auto", "otherwise": escalate}
    recipes = [{"preset": "cascade", "escalate": "x" if between else escalate}, auto, escalate]
    done = await run(trio, ask(max_tokens=9), *recipes)
    most = cost(recipes[0], *recipes[1:], max_tokens=9)  # type: ignore[arg-type]
    assert len(outcomes(done)) <= most.calls
    assert (done.usage.completion_tokens or 0) <= (most.tokens or 0)
    if escalate in ("rank", "blend"):
        assert len(outcomes(done)) == most.calls


def test_of_several_routes_the_most_of_each_is_counted() -> None:
    assert costliest([Cost(2, 30), Cost(5, 10)]) == Cost(5, 30)
    assert costliest([Cost(2, None), Cost(5, 10)]) == Cost(5, None)
