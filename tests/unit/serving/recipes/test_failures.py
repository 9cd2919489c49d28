"""Recipes whose agents fail or are late: other agents take over, or the request ends within its deadline."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import DeadlineExceeded, EngineFailed, InvalidRequest, QuorumNotReached
from serving.recipes.strategies.plan import parse_plan
from serving.types import GenerateRequest
from tests.support.recipes import outcomes, reasons, run, shown

Trio = dict[str, ScriptedEngine]
Ask = Callable[..., GenerateRequest]


def fails_when(engine: ScriptedEngine, *, shown: str, error: Exception | None = None) -> None:
    """Have `engine` fail where its prompt holds `shown`."""
    before = engine.answer

    def answer(request: GenerateRequest) -> str | ScriptedAnswer:
        if any(shown in message.content for message in request.messages):
            raise error or EngineFailed(engine.model, "gone")
        return before(request) if callable(before) else before

    engine.answer = answer


# -- deadlines -------------------------------------------------------------------------------------------------


async def test_a_final_agents_own_deadline_is_kept(trio: Trio, ask: Ask) -> None:
    trio["a"].hang = True
    team: dict[str, Any] = {"id": "team", "layers": [["b"]], "aggregator": {"model": "a", "deadline_s": 0.02}}
    done = await asyncio.wait_for(run(trio, ask(), {**team, "prefill": "off"}), 5)
    assert done.text == "b says 1"
    assert "0.02 s" in reasons(done)


async def test_the_least_deadline_of_agent_and_request_holds(trio: Trio, ask: Ask) -> None:
    trio["a"].hang = True
    team = {"id": "team", "layers": [["b"]], "aggregator": {"model": "a", "deadline_s": 60}, "deadline_s": 0.02}
    with pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(run(trio, ask(), {**team, "prefill": "off"}), 5)


@pytest.mark.parametrize("per_request", [False, True])
@pytest.mark.parametrize("strategy", ["auto", "cascade"])
async def test_whoever_takes_over_keeps_the_deadline(trio: Trio, ask: Ask, strategy: str, per_request: bool) -> None:
    trio["b"].logprob = -5.0
    trio["a"].hang = trio["c"].hang = True
    own: dict[str, Any] = {} if per_request else {"deadline_s": 0.05}
    outer = {
        "auto": {"id": "x", "strategy": "auto", "otherwise": "moa-lite", **own},
        "cascade": {"id": "x", "strategy": "cascade", "first": "b", "escalate": "moa-lite", **own},
    }[strategy]
    options = {"deadline_s": 0.05} if per_request else {}
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        await asyncio.wait_for(run(trio, ask(options=options), outer, "moa-lite"), 5)


async def test_who_takes_over_may_shorten_the_deadline(trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.hang = True
    auto = {"id": "x", "strategy": "auto", "otherwise": "moa-lite", "deadline_s": 60}
    with pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(run(trio, ask(), auto, {"preset": "moa-lite", "deadline_s": 0.02}), 5)


# -- adaptive ------------------------------------------------------------------------------------------------------


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


# -- plan ----------------------------------------------------------------------------------------------------------


def planning(trio: Trio, *tasks: Any) -> None:
    trio["c"].answer = lambda request: json.dumps(tasks) if "JSON list" in str(request.messages) else "c did it"


async def test_a_part_that_an_executor_cannot_do_goes_to_the_next(trio: Trio, ask: Ask) -> None:
    planning(trio, "find x", "find y")
    fails_when(trio["a"], shown="only this part: find x")
    done = await run(trio, ask(), "plan")
    assert "1. find x: b says 0\n2. find y: b says 0" in shown(trio["a"])
    assert "executor 'a'" in reasons(done)


async def test_a_part_that_nobody_can_do_is_left_out(trio: Trio, ask: Ask) -> None:
    planning(trio, "find x", "find y", {"task": "add", "after": [1, 2]})
    for engine in trio.values():
        fails_when(engine, shown="only this part: find x")
    done = await run(trio, ask(), {"preset": "plan", "min_proposals": 2})
    assert "find x" not in shown(trio["a"])
    assert "part 1 of the plan failed on every executor" in reasons(done)
    with pytest.raises(QuorumNotReached, match=r"2 usable proposals of 3 needed: .*gone"):
        await run(trio, ask(), {"preset": "plan", "min_proposals": 3})


async def test_a_plan_of_which_nothing_can_be_done_is_an_error_of_its_kind(trio: Trio, ask: Ask) -> None:
    planning(trio, "find x")
    for engine in trio.values():
        fails_when(engine, shown="only this part", error=InvalidRequest("no such thing"))
    with pytest.raises(InvalidRequest, match="no such thing"):
        await run(trio, ask(), "plan")


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, f"[{'9' * 5000}]", "[" * 200_000, "]["])
def test_no_plan_breaks_its_reader(text: str) -> None:
    assert parse_plan(text) == ()


# -- the last agent --------------------------------------------------------------------------------------------------

LAST: dict[str, dict[str, Any]] = {
    "self_moa": {"proposer": "b", "aggregator": "a", "samples": 2},
    "self_moa_seq": {"proposer": "b", "aggregator": "a", "samples": 8},
    "blend": {"proposers": ["b", "c"], "judge": "c", "aggregator": "a"},
    "adaptive": {"proposers": ["b", "c"], "aggregator": "a"},
    "plan": {"planner": "c", "executors": ["b", "c"], "synthesizer": "a"},
    "debate": {"solver": "a", "critic": "b"},
}


@pytest.mark.parametrize("strategy", sorted(LAST))
async def test_the_teams_other_models_answer_where_the_last_agent_cannot(trio: Trio, ask: Ask, strategy: str) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    done = await run(trio, ask(), {"id": "x", "strategy": strategy, **LAST[strategy]})
    assert done.text.startswith("b says")
    assert "gone" in reasons(done)
    assert done.report is not None
    assert done.report.agents[-1].model == "b"


@pytest.mark.parametrize("strategy", sorted(LAST))
async def test_named_fallbacks_come_instead_of_the_team(trio: Trio, ask: Ask, strategy: str) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    done = await run(trio, ask(), {"id": "x", "strategy": strategy, **LAST[strategy], "fallbacks": ["c"]})
    assert done.text.startswith("c says")


async def test_a_synthesis_on_the_way_that_fails_costs_quality_not_the_request(trio: Trio, ask: Ask) -> None:
    lost = [EngineFailed("a", "gone for a moment")]
    fails_when(trio["a"], shown="Responses from models")
    failing = trio["a"].answer

    def once(request: GenerateRequest) -> str | ScriptedAnswer:
        if lost:
            lost.pop()
            assert callable(failing)
            return failing(request)
        return "a synthesis"

    trio["a"].answer = once
    done = await run(trio, ask(options={"samples": 9}), "self-moa-seq")
    assert done.text == "a synthesis"
    assert "layer 2 aggregator 'a'" in reasons(done)
    assert shown(trio["a"]).count("b says 0") == 6


async def test_a_revision_that_nobody_can_write_leaves_the_answer_before(trio: Trio, ask: Ask) -> None:
    trio["c"].answer = "The sign is wrong."
    for name in "bc":
        fails_when(trio[name], shown="A critic says")
    done = await run(trio, ask(), "debate")
    assert done.text == "b says 0"
    assert "returned an earlier answer" in reasons(done)
