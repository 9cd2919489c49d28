"""`below_quorum` and `refill`: what a layer does about proposals that are missing."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from serving.conversation import Message, Tool, ToolCall
from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import ConfigError, DeadlineExceeded, EngineFailed, InvalidRequest, Overloaded, QuorumNotReached
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.telemetry import Observer
from serving.types import Completion, GenerateRequest
from tests.support.clock import simulated_time
from tests.support.recipes import TEAM, Ask, Trio, outcomes, reasons, run

LAYERED = {"preset": "moa-lite", "layers": [["b", "c"]], "min_proposals": 2, "fallbacks": []}
GONE = EngineFailed("b", "gone")


def degraded(done: Completion) -> bool:
    assert done.report is not None
    return done.report.degraded


def slots(done: Completion) -> list[tuple[int, str, str]]:
    """Slot, model and status of every proposer, in the order of the trace."""
    assert done.report is not None
    return [(trace.agent, trace.model, trace.status) for trace in done.report.agents if trace.role == "proposer"]


# -- below_quorum ----------------------------------------------------------------------------------------------------


async def test_a_layer_below_its_quorum_fails_unless_the_recipe_says_otherwise(trio: Trio, ask: Ask) -> None:
    trio["b"].error = GONE
    with pytest.raises(QuorumNotReached, match=r"1 usable proposals of 2 needed: .*gone") as caught:
        await run(trio, ask(), LAYERED)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 5.0)
    for rule, seen in (("answer", 1), ("single", 0)):
        done = await run(trio, ask(), {**LAYERED, "below_quorum": rule})
        assert done.text == f"a says {seen}"
        assert degraded(done)
    assert (await run(trio, ask(options={"below_quorum": "single"}), LAYERED)).text == "a says 0"


async def test_the_reasons_say_what_was_done(trio: Trio, ask: Ask) -> None:
    trio["b"].error = GONE
    done = await run(trio, ask(), {**LAYERED, "below_quorum": "answer"})
    assert "Too few proposals were usable; the answer was made with those there are." in reasons(done)
    done = await run(trio, ask(), {**LAYERED, "below_quorum": "single"})
    assert "Too few proposals were usable; the final agent answered without any." in reasons(done)


async def test_answer_waits_for_the_proposals_that_still_come(trio: Trio, ask: Ask) -> None:
    trio["b"].error, trio["c"].ttft_s = GONE, 0.01
    done = await run(trio, ask(), {**LAYERED, "below_quorum": "answer"})
    assert done.text == "a says 1"
    done = await run(trio, ask(), {**LAYERED, "below_quorum": "single"})
    assert slots(done) == [(0, "b", "failed"), (1, "c", "cancelled")]


async def test_single_ends_all_layers(trio: Trio, ask: Ask) -> None:
    trio["b"].error = GONE
    recipe = {**LAYERED, "layers": [["a", "c"], ["b", "c"], ["a", "c"]], "below_quorum": "single"}
    done = await run(trio, ask(), recipe)
    assert done.text == "a says 0"
    assert [layer for layer, _, _ in outcomes(done)] == [1, 1, 2, 2, 3]


async def test_without_any_proposal_the_final_agent_answers_alone(trio: Trio, ask: Ask) -> None:
    trio["b"].error = trio["c"].error = GONE
    for rule in ("answer", "single"):
        done = await run(trio, ask(), {**LAYERED, "below_quorum": rule})
        assert (done.text, degraded(done)) == ("a says 0", True)


@pytest.mark.parametrize("error", [Overloaded("full"), InvalidRequest("too long for b")])
async def test_a_cause_that_the_final_agent_may_not_share_is_passed_over(
    trio: Trio, ask: Ask, error: Exception
) -> None:
    trio["b"].error = trio["c"].error = error  # type: ignore[assignment]
    with pytest.raises(type(error)):
        await run(trio, ask(), LAYERED)
    assert (await run(trio, ask(), {**LAYERED, "below_quorum": "answer"})).text == "a says 0"


@simulated_time
async def test_the_deadline_of_the_request_is_never_passed_over() -> None:
    team = {name: ScriptedEngine(name, hang=name != "a") for name in "abc"}
    request = GenerateRequest("r", (Message("user", "Why?"),))
    with pytest.raises(DeadlineExceeded, match="30 s"):
        await run(team, request, {**LAYERED, "deadline_s": 30})
    assert asyncio.get_running_loop().time() == 30


@pytest.mark.parametrize("rule", ["answer", "single"])
@simulated_time
async def test_too_few_proposals_leave_time_for_the_answer_if_they_are_no_error(rule: str) -> None:
    team = {name: ScriptedEngine(name, hang=name != "a") for name in "abc"}
    request = GenerateRequest("r", (Message("user", "Why?"),))
    done = await run(team, request, {**LAYERED, "below_quorum": rule, "deadline_s": 40})
    assert (done.text, degraded(done)) == ("ok", True)
    assert asyncio.get_running_loop().time() == 30  # a quarter was kept


@pytest.mark.parametrize("preset", ["self-moa", "self-moa-seq", "blend", "adaptive", "plan", "moa"])
@pytest.mark.parametrize("rule", ["answer", "single"])
async def test_every_strategy_with_a_final_agent_can_answer_without_proposers(
    trio: Trio, ask: Ask, preset: str, rule: str
) -> None:
    trio["b"].error = trio["c"].error = GONE
    own: dict[str, Any] = {"proposers": ["b", "c"]} if preset in ("blend", "adaptive") else {}
    own |= {"executors": ["b", "c"]} if preset == "plan" else {}
    own |= {"layers": [["b", "c"]]} if preset == "moa" else {}
    with pytest.raises(QuorumNotReached):
        await run(trio, ask(), {"preset": preset, **own})
    done = await run(trio, ask(), {"preset": preset, **own, "below_quorum": rule})
    assert (done.text, degraded(done)) == ("a says 0", True)


async def test_a_plan_with_too_few_parts_follows_the_rule(trio: Trio, ask: Ask) -> None:
    def planned(request: GenerateRequest) -> str | ScriptedAnswer:
        text = request.messages[-1].content
        if "JSON list" in text:
            return '["one", "two"]'
        if "only this part: two" in text:
            raise GONE
        return "c says part"

    trio["c"].answer = planned
    recipe = {"preset": "plan", "planner": "c", "executors": ["c", "c"], "min_proposals": 2}
    with pytest.raises(QuorumNotReached, match="1 usable proposals of 2 needed"):
        await run(trio, ask(), recipe)
    assert (await run(trio, ask(), {**recipe, "below_quorum": "answer"})).text == "a says 1"
    assert (await run(trio, ask(), {**recipe, "below_quorum": "single"})).text == "a says 0"


@pytest.mark.parametrize("preset", ["vote", "rank"])
async def test_a_strategy_that_picks_a_proposal_needs_one(trio: Trio, ask: Ask, preset: str) -> None:
    trio["b"].error = GONE
    recipe = {"preset": preset, "proposers": ["b", "c"], "min_proposals": 2, "below_quorum": "answer"}
    done = await run(trio, ask(), recipe)
    assert (done.text, degraded(done)) == ("c says 0", True)
    trio["c"].error = GONE
    with pytest.raises(QuorumNotReached, match="0 usable proposals of 2"):
        await run(trio, ask(), recipe)
    with pytest.raises(ConfigError, match="below_quorum: single needs a final agent"):
        load_recipes([{**recipe, "below_quorum": "single"}], TEAM)


async def test_references_below_the_quorum_are_not_kept(trio: Trio, ask: Ask) -> None:
    orchestrator = Orchestrator(trio, load_recipes([{**LAYERED, "below_quorum": "answer"}], TEAM))
    trio["a"].tools, trio["b"].error = True, GONE
    request = replace(ask(), tools=(Tool("look"),))
    await complete("moa-lite", orchestrator.engines["moa-lite"], request)
    assert not orchestrator.runtime.advice._entries


# -- refill ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["failed", "empty", "timeout"])
async def test_a_slot_that_failed_is_taken_by_another_model(trio: Trio, ask: Ask, fault: str) -> None:
    if fault == "failed":
        trio["b"].error = GONE
    elif fault == "empty":
        trio["b"].answer = " "
    else:
        trio["b"].hang = True
    recipe = {**LAYERED, "layers": [[{"model": "b", "deadline_s": 0.02}, "c"]], "refill": True, "prefill": "off"}
    done = await run(trio, ask(), recipe)
    assert done.text == "a says 2"
    assert slots(done) == [(0, "b", fault), (0, "c", "ok"), (1, "c", "ok")]
    assert not degraded(done)
    assert "'c' was asked instead" in reasons(done)
    assert done.usage.completion_tokens == sum(
        trace.usage.completion_tokens or 0 for trace in (done.report.agents if done.report else ())
    )


async def test_without_refill_the_slot_stays_empty(trio: Trio, ask: Ask) -> None:
    trio["b"].error = GONE
    done = await run(trio, ask(), {**LAYERED, "min_proposals": 1})
    assert slots(done) == [(0, "b", "failed"), (1, "c", "ok")]
    assert degraded(done)


async def test_a_slot_is_refilled_once(trio: Trio, ask: Ask) -> None:
    trio["b"].error = trio["c"].error = GONE
    recipe = {"preset": "moa-lite", "refill": True, "min_proposals": 1}  # of a, b and c
    done = await run(trio, ask(), recipe)
    assert next(model for slot, model, _ in slots(done) if slot == 1) == "b"
    assert all(len([one for one in slots(done) if one[0] == slot]) <= 2 for slot in range(3))
    assert (0, "a", "ok") in slots(done)
    trio["a"].error = GONE
    with pytest.raises(QuorumNotReached):
        await run(trio, ask(), recipe)


async def test_a_refill_that_fails_degrades_the_answer(trio: Trio, ask: Ask) -> None:
    trio["b"].error = GONE
    asked: list[int] = []

    def once(request: GenerateRequest) -> str:
        asked.append(1)
        if len(asked) > 1:
            raise EngineFailed("c", "gone too")
        return "c says 0"

    trio["c"].answer, trio["b"].ttft_s = once, 0.01
    done = await run(trio, ask(), {**LAYERED, "min_proposals": 1, "refill": True})
    assert slots(done) == [(0, "b", "failed"), (0, "c", "failed"), (1, "c", "ok")]
    assert degraded(done)


async def test_models_that_failed_take_no_slot(trio: Trio, ask: Ask) -> None:
    trio["b"].error, trio["c"].error = GONE, GONE
    trio["c"].ttft_s = 0.01
    done = await run(trio, ask(), {"preset": "moa-lite", "layers": [["c", "b", "a"]], "refill": True})
    # b is the next model of the team after c, but failed before.
    assert [one for one in slots(done) if one[0] == 0] == [(0, "c", "failed"), (0, "a", "ok")]


async def test_only_the_empty_answers_of_a_call_are_refilled(trio: Trio, ask: Ask) -> None:
    async def second_is_empty(request: GenerateRequest, stream: Any) -> Any:
        async for delta in stream:
            yield replace(delta, text="") if delta.index == 1 else delta

    trio["b"].intercept = second_is_empty
    done = await run(trio, ask(), {**LAYERED, "layers": [["b", "b", "b", "c"]], "refill": True})
    assert slots(done) == [(0, "b", "ok"), (1, "b", "empty"), (1, "c", "ok"), (2, "b", "ok"), (3, "c", "ok")]
    assert done.text == "a says 4"


async def test_slots_of_one_call_that_failed_are_one_call_again(trio: Trio, ask: Ask) -> None:
    trio["b"].error = GONE
    await run(trio, ask(seed=7), {**LAYERED, "layers": [["b", "b", "c"]], "refill": True})
    assert sorted((request.sampling.n, request.sampling.seed) for request in trio["c"].requests) == [
        (1, 7),
        (2, 7 + 2**16),  # not the same sample again
    ]


async def test_an_error_of_the_caller_is_not_tried_on_another_model(trio: Trio, ask: Ask) -> None:
    trio["b"].error = InvalidRequest("no")
    done = await run(trio, ask(), {**LAYERED, "min_proposals": 1, "refill": True})
    assert slots(done) == [(0, "b", "failed"), (1, "c", "ok")]
    trio["b"].error, trio["b"].context_tokens = None, 4
    done = await run(trio, ask(), {**LAYERED, "refill": True})  # too small a context is b's own
    assert slots(done) == [(0, "b", "failed"), (0, "c", "ok"), (1, "c", "ok")]


async def test_the_whole_team_takes_slots_of_a_layer(trio: Trio, ask: Ask) -> None:
    trio["b"].error = GONE
    done = await run(trio, ask(), {**LAYERED, "layers": [["b"], ["c"]], "min_proposals": 1, "refill": True})
    assert slots(done) == [(0, "b", "failed"), (0, "c", "ok"), (0, "c", "ok")]
    done = await run(trio, ask(), {"preset": "adaptive", "proposers": ["b", "c"], "start": 1, "refill": True})
    assert slots(done)[:2] == [(0, "b", "failed"), (0, "c", "ok")]


@simulated_time
async def test_a_refill_is_cut_as_a_straggler_and_ends_with_the_request() -> None:
    team = {
        "a": ScriptedEngine("a"),
        "b": ScriptedEngine("b", error=GONE, ttft_s=1),
        "c": ScriptedEngine("c", ttft_s=2),
    }
    request = GenerateRequest("r", (Message("user", "Why?"),))
    recipe = {**LAYERED, "refill": True, "straggler_grace_s": 0.5, "min_proposals": 1}
    done = await asyncio.wait_for(run(team, request, recipe), 10)
    assert slots(done) == [(0, "b", "failed"), (0, "c", "straggler"), (1, "c", "ok")]
    assert degraded(done)
    with pytest.raises(DeadlineExceeded):
        await run(team, request, {**recipe, "min_proposals": 2, "deadline_s": 2.5})


async def test_a_refilled_slot_keeps_its_place_and_its_role(trio: Trio, ask: Ask) -> None:
    trio["b"].error = GONE
    recipe = {**LAYERED, "layers": [[{"model": "b", "system": "Be brief."}, "c"]], "refill": True}
    done = await run(trio, ask(), {**recipe, "prefill": "incremental"})
    assert done.text == "a says 2"
    assert [request.messages[0].content for request in trio["c"].requests] == ["Why?", "Be brief."]


async def test_refilled_slots_are_counted_by_the_model_that_takes_them(trio: Trio, ask: Ask) -> None:
    counted: list[tuple[str, str]] = []

    class Recorder(Observer):
        def refilled(self, recipe: str, model: str) -> None:
            counted.append((recipe, model))

    for refill in (True, False):
        recipes = load_recipes([{**LAYERED, "layers": [["b", "b", "c", "a"]], "refill": refill}], TEAM)
        trio["b"].error = GONE
        await complete("moa-lite", Orchestrator(trio, recipes, observer=Recorder()).engines["moa-lite"], ask())
        assert counted == [("moa-lite", "c")] * 2


async def test_references_of_a_refilled_layer_are_kept(trio: Trio, ask: Ask) -> None:
    orchestrator = Orchestrator(trio, load_recipes([{**LAYERED, "refill": True}], TEAM))
    trio["a"].tools, trio["b"].error = True, GONE
    request = replace(ask(), tools=(Tool("look"),))
    await complete("moa-lite", orchestrator.engines["moa-lite"], request)
    assert len(orchestrator.runtime.advice._entries) == 1


async def test_a_substitute_votes_for_the_slot(trio: Trio, ask: Ask) -> None:
    call = ToolCall("c1", "look", "{}")
    for engine in trio.values():
        engine.answer, engine.tools = ScriptedAnswer("", "", (call,)), True
    trio["b"].error = GONE
    request = replace(ask(), tools=(Tool("look"),))
    done = await run(trio, request, {**LAYERED, "tools": "vote", "refill": True})
    assert reasons(done).endswith("2 of 2 proposers of layer 1 drafted the same tool calls, which are the answer.")
    assert done.choices[0].tool_calls


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"preset": "moa-single", "refill": True}, "refill needs a team of two models or more"),
        ({"preset": "vote", "proposers": ["a"], "refill": True}, "refill needs a team of two models or more"),
        ({"preset": "self-moa", "refill": True}, "refill has no effect on the strategy 'self_moa'"),
        ({"preset": "debate", "refill": True}, "refill has no effect on the strategy 'debate'"),
        ({"preset": "cascade", "below_quorum": "answer"}, "below_quorum has no effect on the strategy 'cascade'"),
        ({"preset": "moa-lite", "below_quorum": "maybe"}, "Set 'below_quorum' to 'fail', 'answer' or 'single'"),
        ({"preset": "moa-lite", "advise": "never"}, "advise is 'user_turn', 'every_turn', or an object with 'every'"),
        ({"preset": "moa-lite", "advise": {"every": 0}}, r"Set 'advise\.every' to at least 1, not 0"),
        ({"preset": "moa-lite", "advise": {"every": "two"}}, r"Set 'advise\.every' to an integer"),
        ({"preset": "moa-lite", "advise": {"each": 2}}, r"Remove 'advise\.each'"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipes([recipe], TEAM)
