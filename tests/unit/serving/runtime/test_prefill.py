"""Prefill: prefixes of the real prompts, at a lower priority than all other calls, ending with the request."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from serving.conversation import Thinking, Tool
from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.tenant import PRIORITIES
from serving.types import GenerateRequest
from tests.support.clock import simulated_time

Trio = dict[str, ScriptedEngine]
Make = Callable[..., Orchestrator]
Ask = Callable[..., GenerateRequest]


def at_once(team: Orchestrator) -> Orchestrator:
    """`team` with prefills that start without waiting: scripted engines answer before the wait is over."""
    team.runtime.prefill_settle_s = 0
    return team


def flat(request: GenerateRequest) -> str:
    return "\n".join(f"<{message.role}>{message.content}" for message in request.messages)


@pytest.mark.parametrize("order", ["declared", "arrival"])
@pytest.mark.parametrize("mode", ["on_complete", "incremental"])
@pytest.mark.parametrize("layout", ["paper", "references_last"])
async def test_every_prefill_is_a_prefix_of_the_real_prompt(
    orchestrate: Make, trio: Trio, ask: Ask, mode: str, order: str, layout: str
) -> None:
    long = "the quick brown fox jumps over the lazy dog and runs away " * 12
    for name, itl_s in (("b", 0.0), ("c", 0.0005)):
        trio[name].answer, trio[name].itl_s = f"{name} says {long}", itl_s
    team = orchestrate(layers=[["b", "c"]], prefill=mode, reference_order=order, layout=layout)
    team.runtime.prefill_settle_s = 0
    await complete("team", team.engines["team"], ask("What is it?"))
    [final] = trio["a"].requests
    ahead = [request for request, _ in trio["a"].prefills]
    known = [flat(request).split(marker)[0] for request, marker in trio["a"].prefills]
    assert all(flat(final).startswith(prefix) for prefix in known)
    assert max(map(len, known)) > len(flat(final)) // 2 or mode == "on_complete"
    assert all(request.priority > final.priority for request in ahead)
    assert len(ahead) >= (4 if mode == "incremental" else 2)


@pytest.mark.parametrize("session", ["s", None])
async def test_a_prefill_goes_to_the_replica_of_the_real_call(
    orchestrate: Make, trio: Trio, ask: Ask, session: str | None
) -> None:
    team = at_once(orchestrate(layers=[["b", "c"]], prefill="on_complete"))
    await complete("team", team.engines["team"], replace(ask(), session=session))
    assert [request.session for request in trio["b"].requests] == [session]
    assert {request.session for request, _ in trio["a"].prefills} == {session or "r1"}
    assert [request.session for request in trio["a"].requests] == [session or "r1"]


async def test_without_prefill_a_call_without_a_session_goes_anywhere(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    await complete("team", orchestrate(prefill="off").engines["team"], ask())
    assert [request.session for request in trio["a"].requests] == [None, None]


async def test_a_prefill_is_behind_the_work_of_the_most_patient_caller(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    team = orchestrate(layers=[["b", "c"]], prefill="on_complete")
    team.runtime.prefill_settle_s = 0
    await complete("team", team.engines["team"], replace(ask(), priority=2 * PRIORITIES - 1))
    [final] = trio["a"].requests
    ahead = [request for request, _ in trio["a"].prefills]
    assert ahead
    assert all(request.priority > max(final.priority, trio["b"].requests[-1].priority) for request in ahead)
    assert all(request.priority < 2**63 for request in ahead)


@simulated_time
async def test_what_ends_together_is_left_to_the_real_call(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    await complete("team", orchestrate(layers=[["b", "c"]], prefill="on_complete").engines["team"], ask())
    assert (len(trio["a"].requests), len(trio["a"].prefills)) == (1, 0)


async def test_off_asks_for_nothing(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    await complete("team", orchestrate(layers=[["b", "c"]], prefill="off").engines["team"], ask())
    assert (len(trio["a"].requests), len(trio["a"].prefills)) == (1, 0)


async def test_the_answer_is_the_same_with_and_without(orchestrate: Make, ask: Ask) -> None:
    answers = {
        mode: (
            await complete("team", at_once(orchestrate(layers=[["b", "c"]], prefill=mode)).engines["team"], ask())
        ).text
        for mode in ("off", "on_complete", "incremental")
    }
    assert set(answers.values()) == {"a says 2"}


async def test_a_failing_prefill_costs_nothing(orchestrate: Make, trio: Trio, ask: Ask) -> None:

    async def failing(request: GenerateRequest, marker: str) -> None:
        raise EngineFailed("a", "no room")

    trio["a"].on_prefill = failing
    trio["b"].itl_s = 0.001
    done = await complete(
        "team", at_once(orchestrate(layers=[["b", "c"]], prefill="on_complete")).engines["team"], ask()
    )
    assert done.text == "a says 2"
    assert done.report is not None
    assert not done.report.degraded


SEQ = {"id": "team", "strategy": "self_moa_seq", "proposer": "b", "aggregator": "a", "samples": 5, "window": 4}
MOA = {"id": "team", "layers": [["b"], ["c"]], "aggregator": "a"}


@pytest.mark.parametrize(("recipe", "acts"), [(MOA, {"c": False, "a": True}), (SEQ, {"a": False})])
async def test_only_the_prefill_of_the_final_agent_has_the_tools(
    trio: Trio, ask: Ask, recipe: dict[str, object], acts: dict[str, bool]
) -> None:
    for engine in trio.values():
        engine.tools = engine.thinking = True
    trio["b"].itl_s = trio["c"].itl_s = 0.001
    team = at_once(Orchestrator(trio, load_recipes([{"prefill": "on_complete", **recipe}])))
    asked = replace(ask(), tools=(Tool("look"),), thinking=Thinking(effort="high"), template_args={"x": 1})
    await complete("team", team.engines["team"], asked)
    for name, final in acts.items():
        real = trio[name].requests[0]
        assert trio[name].prefills
        for ahead, _ in trio[name].prefills:
            assert (ahead.tools, ahead.thinking, ahead.template_args) == (real.tools, real.thinking, real.template_args)
            assert bool(ahead.tools) == final


async def test_prefills_end_with_their_request(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.hang = True
    team = at_once(orchestrate(layers=[["b", "c"]], prefill="on_complete"))
    task = asyncio.create_task(complete("team", team.engines["team"], ask()))
    while sum(engine.running for engine in trio.values()) < 3:  # noqa: ASYNC110 - engines have no event to wait for
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [engine.running for engine in trio.values()] == [0, 0, 0]
