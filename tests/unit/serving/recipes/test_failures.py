"""Recipes whose agents fail or are late: other agents take over, or the request ends within its deadline."""

import asyncio
from typing import Any

import pytest

from serving.errors import DeadlineExceeded, EngineFailed
from tests.support.clock import simulated_time
from tests.support.recipes import Ask, Trio, reasons, run

# -- deadlines -------------------------------------------------------------------------------------------------


async def test_a_final_agents_own_deadline_is_kept(trio: Trio, ask: Ask) -> None:
    trio["a"].hang = True
    team: dict[str, Any] = {"id": "team", "layers": [["b"]], "aggregator": {"model": "a", "deadline_s": 0.02}}
    done = await asyncio.wait_for(run(trio, ask(), {**team, "prefill": "off"}), 60)
    assert done.text == "b says 1"
    assert "'a' (aggregator, layer 2) did not answer in time." in reasons(done)


@simulated_time
async def test_the_least_deadline_of_agent_and_request_holds(trio: Trio, ask: Ask) -> None:
    trio["a"].hang = True
    team = {"id": "team", "layers": [["b"]], "aggregator": {"model": "a", "deadline_s": 60}, "deadline_s": 20}
    done = await run(trio, ask(), {**team, "prefill": "off"})
    assert done.text == "b says 0"  # the proposal: nothing of the final answer was written
    assert asyncio.get_running_loop().time() == 20


@pytest.mark.parametrize("per_request", [False, True])
@pytest.mark.parametrize("strategy", ["auto", "cascade"])
@simulated_time
async def test_whoever_takes_over_keeps_the_deadline(trio: Trio, ask: Ask, strategy: str, per_request: bool) -> None:
    trio["b"].logprob = -5.0
    trio["a"].hang = trio["c"].hang = True
    own: dict[str, Any] = {} if per_request else {"deadline_s": 50}
    outer = {
        "auto": {"id": "x", "strategy": "auto", "otherwise": "moa-lite", **own},
        "cascade": {"id": "x", "strategy": "cascade", "first": "b", "escalate": "moa-lite", **own},
    }[strategy]
    options = {"deadline_s": 50} if per_request else {}
    done = await run(trio, ask(options=options), outer, "moa-lite")
    assert done.text.startswith("b says")
    assert asyncio.get_running_loop().time() == 50


async def test_who_takes_over_may_shorten_the_deadline(trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.hang = True
    auto = {"id": "x", "strategy": "auto", "otherwise": "moa-lite", "deadline_s": 60}
    with pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(run(trio, ask(), auto, {"preset": "moa-lite", "deadline_s": 0.02}), 60)


# -- adaptive ------------------------------------------------------------------------------------------------------


# -- plan ----------------------------------------------------------------------------------------------------------


# -- the last agent --------------------------------------------------------------------------------------------------

LAST: dict[str, dict[str, Any]] = {
    "self_moa": {"proposer": "b", "aggregator": "a", "samples": 2},
    "self_moa_seq": {"proposer": "b", "aggregator": "a", "samples": 8},
    "blend": {"proposers": ["b", "c"], "judge": "c", "aggregator": "a"},
    "adaptive": {"proposers": ["b", "c"], "aggregator": "a"},
    "plan": {"planner": "c", "executors": ["b", "c"], "synthesizer": "a"},
    "staircase": {"proposers": ["b", "c"], "aggregator": "a"},
    "debate": {"solver": "a", "critic": "b"},
}


@pytest.mark.parametrize("strategy", sorted(LAST))
async def test_the_teams_other_models_answer_where_the_last_agent_cannot(trio: Trio, ask: Ask, strategy: str) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    done = await run(trio, ask(), {"id": "x", "strategy": strategy, **LAST[strategy]})
    assert done.text.startswith("b says")
    assert "'a' (" in reasons(done)
    assert "gone" not in reasons(done)  # the text of an error is in the trace and in the log
    assert done.report is not None
    assert done.report.agents[-1].model == "b"


@pytest.mark.parametrize("strategy", sorted(LAST))
async def test_named_fallbacks_come_instead_of_the_team(trio: Trio, ask: Ask, strategy: str) -> None:
    trio["a"].error = EngineFailed("a", "gone")
    done = await run(trio, ask(), {"id": "x", "strategy": strategy, **LAST[strategy], "fallbacks": ["c"]})
    assert done.text.startswith("c says")
