"""Debate: acceptance, revisions and their limit."""

import pytest

from serving.types import ResponseFormat
from tests.support.recipes import Ask, Trio, fails_when, outcomes, reasons, run

JSON = ResponseFormat("json_object")


async def test_debate_ends_when_the_critic_accepts(trio: Trio, ask: Ask) -> None:
    trio["b"].answer, trio["c"].answer = "42", "ACCEPT"
    done = await run(trio, ask(), "debate")
    assert done.text == "42"
    assert outcomes(done) == [(1, "solver", "b"), (2, "critic", "c")]


@pytest.mark.parametrize(("own", "used"), [(None, 0.0), (0.3, 0.3)])
async def test_a_critic_judges_greedily_unless_told_otherwise(
    trio: Trio, ask: Ask, own: float | None, used: float
) -> None:
    trio["c"].answer = "ACCEPT"
    critic = {"model": "c", "temperature": own}
    await run(trio, ask(temperature=0.9), {"id": "x", "strategy": "debate", "solver": "b", "critic": critic})
    assert [request.sampling.temperature for request in trio["c"].requests] == [used]


async def test_debate_revises_up_to_its_limit(trio: Trio, ask: Ask) -> None:
    trio["c"].answer = "The sign is wrong."
    done = await run(trio, ask(options={"rounds": 3}), "debate")
    assert [role for _, role, _ in outcomes(done)] == ["solver", "critic", "solver", "critic", "solver"]
    assert "The sign is wrong." in trio["b"].requests[-1].messages[-1].content


async def test_a_revision_that_nobody_can_write_leaves_the_answer_before(trio: Trio, ask: Ask) -> None:
    trio["c"].answer = "The sign is wrong."
    for name in "bc":
        fails_when(trio[name], shown="A critic says")
    done = await run(trio, ask(), "debate")
    assert done.text == "b says 0"
    assert "an earlier answer is returned" in reasons(done)


async def test_an_answer_that_the_critic_accepts_is_sampled_as_one(trio: Trio, ask: Ask) -> None:
    trio["c"].answer = "ACCEPT"
    done = await run(
        trio, ask(stop=("END",), response_format=JSON, max_tokens=2), {"preset": "debate", "proposal_max_tokens": 9}
    )
    assert [request.sampling.stop for request in trio["b"].requests] == [("END",)]
    assert [request.sampling.response_format for request in trio["b"].requests] == [JSON]
    assert (done.text, done.choices[0].finish_reason) == ("b says", "length")
    assert trio["c"].requests[0].sampling.stop == ()


@pytest.mark.parametrize("rounds", [1, 2])
async def test_a_solver_sees_the_answer_that_was_given_before(trio: Trio, ask: Ask, rounds: int) -> None:
    trio["a"].answer, trio["a"].logprob, trio["c"].answer = "given before", -5.0, "wrong"
    cascade = {"id": "x", "strategy": "cascade", "first": "a", "escalate": "debate"}
    await run(trio, ask(), cascade, {"preset": "debate", "rounds": rounds})
    prompts = ["\n".join(m.content for m in request.messages) for request in trio["b"].requests]
    assert len(prompts) == rounds
    assert all("1. given before" in prompt for prompt in prompts)
