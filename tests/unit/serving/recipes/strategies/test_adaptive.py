"""Adaptive: agreement, and proposers added while they disagree."""

import pytest

from serving.errors import EngineFailed, QuorumNotReached
from tests.support.recipes import Ask, Trio, fails_when, outcomes, report_of, run


async def test_adaptive_stops_on_verified_agreement(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer = "Paris", "paris."
    done = await run(trio, ask(), "adaptive")
    assert done.text == "Paris"
    assert not trio["c"].requests


async def test_adaptive_adds_proposers_while_they_disagree(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(), "adaptive")
    assert done.text == "a says 3"
    assert [model for _, role, model in outcomes(done) if role == "proposer"] == ["a", "b", "c"]


async def test_adaptive_never_skips_the_aggregator_on_long_answers(trio: Trio, ask: Ask) -> None:
    trio["b"].answer = trio["c"].answer = "the same long text " * 10
    trio["a"].answer = lambda r: "joined" if len(r.messages) > 1 else "the same long text " * 10
    assert (await run(trio, ask(), "adaptive")).text == "joined"


async def test_adaptive_asks_all_before_it_gives_up(trio: Trio, ask: Ask) -> None:
    trio["b"].error = EngineFailed("b", "gone")
    fails_when(trio["a"], shown="Why?")
    trio["a"].answer, before = "joined", trio["a"].answer
    trio["a"].answer = lambda r: "joined" if len(r.messages) > 1 else before(r)  # type: ignore[operator]
    done = await run(trio, ask(), "adaptive")
    assert [model for _, role, model in outcomes(done) if role == "proposer"] == ["a", "b", "c"]
    assert done.text == "joined"
    trio["c"].error = EngineFailed("c", "gone too")
    with pytest.raises(QuorumNotReached, match="0 usable proposals of 1 needed"):
        await run(trio, ask(), "adaptive")


async def test_adaptive_does_not_stop_below_its_quorum(trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.answer = "Paris"
    recipe = {"preset": "adaptive", "min_proposals": 3}
    done = await run(trio, ask(), recipe)
    assert len(outcomes(done)) == 3
    trio["b"].error = EngineFailed("b", "gone")
    with pytest.raises(QuorumNotReached, match="2 usable proposals of 3 needed"):
        await run(trio, ask(), recipe)


TWO_OF_THREE = {"preset": "adaptive", "start": 3, "agreement": 0.6}


async def test_an_agreement_that_no_answer_can_undo_cancels_those_that_run(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer, trio["c"].hang = "Paris", "paris.", True
    done = await run(trio, ask(), TWO_OF_THREE | {"stop": "certain"})
    assert done.text == "Paris"
    assert trio["c"].cancelled == 1
    assert not report_of(done).degraded


async def test_an_agreement_that_one_answer_can_undo_waits_for_it(trio: Trio, ask: Ask) -> None:
    trio["a"].answer = trio["b"].answer = trio["c"].answer = "Paris"
    trio["c"].ttft_s = 0.01
    done = await run(trio, ask(), TWO_OF_THREE | {"agreement": 1.0, "stop": "certain"})
    assert [model for _, _, model in outcomes(done)] == ["a", "b", "c"]
    assert {trace.status for trace in report_of(done).agents} == {"ok"}


async def test_adaptive_waits_for_all_of_a_batch_by_default(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer = "Paris", "paris."
    trio["c"].answer, trio["c"].ttft_s = "long words " * 20, 0.01
    trio["a"].answer = lambda r: "joined" if len(r.messages) > 1 else "Paris"
    assert (await run(trio, ask(), TWO_OF_THREE)).text == "joined"
