"""Sampling and finish reason of agents whose text may become the answer."""

from typing import Any

import pytest

from serving.errors import EngineFailed
from serving.types import ResponseFormat
from tests.support.recipes import Ask, Trio, outcomes, run

JSON = ResponseFormat("json_object")


@pytest.mark.parametrize("preset", ["vote", "rank", "adaptive"])
async def test_a_proposal_that_may_be_the_answer_is_sampled_as_one(trio: Trio, ask: Ask, preset: str) -> None:
    for name in "abc":
        trio[name].answer = "the same short words"
    recipe = {"preset": preset, "proposal_max_tokens": 9}
    done = await run(trio, ask(stop=("END",), response_format=JSON, max_tokens=3, min_tokens=2, top_k=5), recipe)
    proposals = [request.sampling for name in "ab" for request in trio[name].requests]
    assert {(s.stop, s.response_format, s.max_tokens, s.min_tokens, s.top_k) for s in proposals} == {
        (("END",), JSON, 3, 2, 5)
    }
    assert (done.text, done.choices[0].finish_reason) == ("the same short", "length")


async def test_an_own_limit_of_proposals_still_holds_where_they_may_be_the_answer(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(max_tokens=30, min_tokens=8), {"preset": "vote", "proposal_max_tokens": 2})
    assert {(r.sampling.max_tokens, r.sampling.min_tokens) for r in trio["a"].requests} == {(2, 2)}
    assert (done.text, done.choices[0].finish_reason) == ("a says", "length")


async def test_the_last_resort_says_how_it_ended(trio: Trio, ask: Ask) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    recipe = {"id": "team", "layers": [["b", "c"]], "aggregator": "a", "fallbacks": [], "proposal_max_tokens": 2}
    done = await run(trio, ask(), recipe)
    assert (done.text, done.choices[0].finish_reason) == ("b says", "length")


async def test_the_last_resort_keeps_the_callers_stop(trio: Trio, ask: Ask) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    trio["b"].answer, trio["c"].answer = "END of it", "some words END and more"
    recipe = {"id": "team", "layers": [["b", "c"]], "aggregator": "a", "fallbacks": []}
    done = await run(trio, ask(stop=("more", "END")), recipe)
    assert (done.text, done.choices[0].finish_reason) == ("some words", "stop")


async def test_the_last_resort_is_no_text_of_another_format(trio: Trio, ask: Ask) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    recipe: dict[str, Any] = {"id": "team", "layers": [["b", "c"]], "aggregator": "a", "fallbacks": []}
    with pytest.raises(EngineFailed, match="gone"):
        await run(trio, ask(response_format=JSON), recipe)
    adaptive = {"id": "team", "strategy": "adaptive", "proposers": ["b", "c"], "aggregator": "a", "fallbacks": []}
    assert (await run(trio, ask(response_format=JSON), adaptive)).text == "b says 0"  # was sampled in that format


@pytest.mark.parametrize("recipe", ["auto", "cascade"])
async def test_a_model_that_is_handed_over_to_samples_as_the_request_says(trio: Trio, ask: Ask, recipe: str) -> None:
    trio["b"].logprob = -5.0
    source = {
        "auto": {"id": "x", "strategy": "auto", "otherwise": "c"},
        "cascade": {"id": "x", "strategy": "cascade", "first": "b", "escalate": "c"},
    }[recipe]
    await run(trio, ask(), source)
    await run(trio, ask(temperature=0.3), source)
    assert [request.sampling for request in trio["c"].requests] == [ask().sampling, ask(temperature=0.3).sampling]


async def test_an_answer_given_before_is_no_part_of_a_plan(trio: Trio, ask: Ask) -> None:
    trio["b"].logprob = -5.0
    trio["c"].answer = lambda r: '["find x", "find y"]' if "JSON list" in str(r.messages) else "c did it"
    cascade = {"id": "x", "strategy": "cascade", "first": "b", "escalate": "plan"}
    done = await run(trio, ask(), cascade, "plan")
    final = trio["a"].requests[-1].messages[0].content
    assert "\n1. b says 0\n2. find x: a says 0\n3. find y: b says 0" in final
    assert [role for _, role, _ in outcomes(done)] == ["first", "planner", "executor", "executor", "synthesizer"]
