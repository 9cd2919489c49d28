"""Deadlines of requests: a part of the time is kept for the answer, and what is in hand then becomes one."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.conversation import Message
from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import DeadlineExceeded, EngineFailed, MoaError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.telemetry import Observer
from serving.types import AgentTrace, Completion, Delta, GenerateRequest
from tests.support.clock import SimulatedLoop, simulated_time
from tests.support.composition import NAMES, Shape, engines, shapes
from tests.support.recipes import Ask, Trio, outcomes, reasons, run

T = TypeVar("T")
LITE: dict[str, Any] = {"id": "team", "layers": [["a", "b", "c"]], "aggregator": "a", "prefill": "off"}


def now() -> float:
    return asyncio.get_running_loop().time()


def statuses(done: Completion) -> list[tuple[str, str]]:
    assert done.report is not None
    return [(trace.model, trace.status) for trace in done.report.agents]


def slow(engine: ScriptedEngine, *, where: str, seconds: float) -> None:
    """Have `engine` take `seconds` before its answers to prompts that hold `where`."""

    async def late(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        if any(where in message.content for message in request.messages):
            await asyncio.sleep(seconds)
        async with aclosing(stream):
            async for delta in stream:
                yield delta

    engine.intercept = late


# -- a layer that has its quorum ------------------------------------------------------------------------------------


@simulated_time
async def test_a_layer_that_has_its_quorum_leaves_time_for_the_answer(trio: Trio, ask: Ask) -> None:
    trio["c"].hang = True
    done = await run(trio, ask(), {**LITE, "deadline_s": 40})
    assert done.text == "a says 2"
    assert now() == 30  # three quarters of the deadline
    assert statuses(done) == [("a", "ok"), ("b", "ok"), ("c", "timeout"), ("a", "ok")]
    assert reasons(done).splitlines()[0] == "'c' (proposer, layer 1) did not answer in time."
    assert done.report is not None
    assert done.report.degraded


@pytest.mark.parametrize(("share", "ends"), [(0.0, 8.0), (0.5, 4.0), (0.75, 2.0)])
@simulated_time
async def test_the_share_is_a_setting_and_fits_short_deadlines(trio: Trio, ask: Ask, share: float, ends: float) -> None:
    trio["c"].hang = True
    done = await run(trio, ask(), {**LITE, "deadline_s": 8, "answer_share": share})
    assert now() == ends
    assert done.text == ("a says 2" if share else "a says 0")  # without a share the answer is a proposal


@simulated_time
async def test_the_caller_of_an_engine_sets_the_deadline_too(trio: Trio, ask: Ask) -> None:
    trio["c"].hang = True
    done = await run(trio, replace(ask(), deadline_s=0.4), {**LITE, "deadline_s": 300})
    assert (done.text, now()) == ("a says 2", pytest.approx(0.3))


@simulated_time
async def test_layers_divide_the_time_that_is_left(trio: Trio, ask: Ask) -> None:
    began: list[float] = []
    slow(trio["c"], where="", seconds=1000)
    said = trio["b"].answer

    def b(request: GenerateRequest) -> str | ScriptedAnswer:
        began.append(now())
        assert callable(said)
        return said(request)

    trio["b"].answer = b
    done = await run(trio, ask(), {**LITE, "layers": [["b", "c"], ["b"], ["b", "c"]], "deadline_s": 120})
    # 90 s for three layers: 30 for the first; the second takes no time, and leaves the third 60.
    assert began == [0, 30, 30]
    assert now() == 90
    assert done.text == "a says 1"


@simulated_time
async def test_a_quorum_that_comes_late_still_leads_to_an_answer(trio: Trio, ask: Ask) -> None:
    trio["a"].ttft_s, trio["b"].ttft_s, trio["c"].hang = 1, 35, True
    done = await run(trio, ask(), {**LITE, "min_proposals": 2, "deadline_s": 40})
    assert (done.text, now()) == ("a says 2", 36)


@simulated_time
async def test_without_its_quorum_a_layer_ends_at_the_deadline(trio: Trio, ask: Ask) -> None:
    trio["b"].hang = trio["c"].hang = True
    with pytest.raises(DeadlineExceeded, match="40 s"):
        await run(trio, ask(), {**LITE, "min_proposals": 2, "deadline_s": 40})
    assert now() == 40


@simulated_time
async def test_a_later_layer_without_its_quorum_gives_way_to_the_one_before(trio: Trio, ask: Ask) -> None:
    slow(trio["b"], where="says", seconds=1000)
    slow(trio["c"], where="says", seconds=1000)
    layers = [["a", "b", "c"], ["b", "c"]]
    done = await run(trio, ask(), {**LITE, "layers": layers, "deadline_s": 40})
    assert (done.text, now()) == ("a says 3", 30)
    assert "Layer 2 was not ready in time; the answer was made from the proposals before it." in reasons(done)


@simulated_time
async def test_layers_for_which_there_is_no_time_are_left_out(trio: Trio, ask: Ask) -> None:
    trio["b"].ttft_s, trio["c"].ttft_s = 31, 31
    done = await run(trio, ask(), {**LITE, "layers": [["b", "c"], ["a", "b"]], "deadline_s": 40})
    assert (done.text, now()) == ("a says 2", 31)
    assert [layer for layer, _, _ in outcomes(done)] == [1, 1, 2]
    assert "There was no time for all layers" in reasons(done)


# -- the final agent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("fault", ["late", "broken"])
@simulated_time
async def test_a_proposal_is_the_answer_if_no_final_agent_writes_one(
    trio: Trio, ask: Ask, fault: str, streamed: bool
) -> None:
    if fault == "late":
        trio["a"].hang = True
    else:
        trio["a"].error = EngineFailed("a", "gone")
    team = {**LITE, "layers": [["b", "c"]], "deadline_s": 40, "fallbacks": []}
    request = ask() if streamed else replace(ask(), stream_interval=None)
    done = await run(trio, request, team)
    assert (done.text, done.choices[0].finish_reason) == ("b says 0", "stop")
    assert now() == (40 if fault == "late" else 0)
    assert reasons(done).endswith("one of the proposals is returned.")
    assert "gone" not in reasons(done)


@simulated_time
async def test_a_proposal_is_cut_where_the_callers_stop_would_have_ended_it(trio: Trio, ask: Ask) -> None:
    trio["a"].hang = True
    done = await run(trio, ask(stop=("says",)), {**LITE, "layers": [["b"]], "deadline_s": 40, "fallbacks": []})
    assert done.text == "b"
    assert reasons(done).endswith("one of the proposals is returned.")


@simulated_time
async def test_an_answer_whose_time_is_over_while_it_streams_is_cut_and_says_so(trio: Trio, ask: Ask) -> None:
    trio["b"].answer, trio["a"].answer, trio["a"].itl_s = "short", "one two three four", 15.0
    done = await run(trio, ask(), {**LITE, "layers": [["b"]], "deadline_s": 40})
    assert (done.text, done.choices[0].finish_reason, now()) == ("one two three", "length", 40)
    assert done.report is not None
    assert done.report.degraded
    assert "The time was over while the answer was being written; it is cut off." in done.report.reasons
    assert done.usage.completion_tokens == 1  # of the proposal: those of the cut call are not known


@simulated_time
async def test_of_a_whole_answer_no_byte_was_sent_and_a_proposal_takes_its_place(trio: Trio, ask: Ask) -> None:
    trio["b"].answer, trio["a"].answer, trio["a"].itl_s = "short", "one two three four", 15.0
    request = replace(ask(), stream_interval=None)
    done = await run(trio, request, {**LITE, "layers": [["b"]], "deadline_s": 40})
    assert (done.text, done.choices[0].finish_reason) == ("short", "stop")


@simulated_time
async def test_a_whole_answer_without_any_proposal_is_cut_too(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["a"].itl_s = "word " * 100, 1.0
    request = replace(ask(), stream_interval=None)
    auto = {"id": "x", "strategy": "auto", "otherwise": "a", "deadline_s": 80}
    done = await run(trio, request, auto)
    assert (done.choices[0].finish_reason, now()) == ("length", 80)
    assert len(done.text.split()) == 80 or done.text == ""


@simulated_time
async def test_reasoning_that_takes_all_the_time_is_followed_by_a_proposal(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["a"].itl_s = ScriptedAnswer("late", "so many thoughts " * 10), 15.0
    done = await run(trio, ask(), {**LITE, "layers": [["b"]], "deadline_s": 40})
    assert done.text == "b says 0"
    assert done.choices[0].reasoning.startswith("so many")


@simulated_time
async def test_an_engine_that_breaks_in_the_middle_is_still_an_error(trio: Trio, ask: Ask) -> None:
    trio["a"].error, trio["a"].fail_after = EngineFailed("a", "gone"), 1
    with pytest.raises(EngineFailed, match="gone"):
        await run(trio, ask(), {**LITE, "layers": [["b"]]})


# -- judges, critics and recipes within recipes ----------------------------------------------------------------------


@simulated_time
async def test_a_late_judge_is_left_out(trio: Trio, ask: Ask) -> None:
    slow(trio["c"], where="Candidates:", seconds=1000)
    rank = {"id": "x", "strategy": "rank", "proposers": ["a", "b"], "judge": "c", "deadline_s": 40}
    done = await run(trio, ask(), rank)
    assert (done.text, now()) == ("a says 0", 40)
    assert "The judge gave no readable verdict; the first proposal is the answer." in reasons(done)
    blend = {"id": "y", "strategy": "blend", "proposers": ["a", "b"], "judge": "c", "aggregator": "b", "top": 1}
    began = now()
    done = await run(trio, ask(), {**blend, "deadline_s": 40})
    assert (done.text, now() - began) == ("b says 1", 30)
    assert "The judge gave no readable verdict; the first proposals were combined." in reasons(done)


@simulated_time
async def test_a_late_critic_leaves_the_answer_unchecked(trio: Trio, ask: Ask) -> None:
    trio["b"].hang = True
    debate = {"id": "x", "strategy": "debate", "solver": "a", "critic": "b", "deadline_s": 40}
    done = await run(trio, ask(), debate)
    assert (done.text, now()) == ("a says 0", 30)
    assert "The critic gave no opinion; the answer was not checked." in reasons(done)


@simulated_time
async def test_a_critic_for_whom_there_is_no_time_is_not_asked(trio: Trio, ask: Ask) -> None:
    trio["a"].ttft_s = 35.0
    debate = {"id": "x", "strategy": "debate", "solver": "a", "critic": "b", "deadline_s": 40}
    done = await run(trio, ask(), debate)
    assert (done.text, now(), len(trio["b"].requests)) == ("a says 0", 35, 0)
    assert "There was no time to ask the critic." in reasons(done)


@simulated_time
async def test_a_revision_that_is_late_leaves_the_answer_before(trio: Trio, ask: Ask) -> None:
    slow(trio["a"], where="A critic says", seconds=1000)
    trio["b"].answer = "Wrong."
    debate = {"id": "x", "strategy": "debate", "solver": "a", "critic": "b", "rounds": 3, "fallbacks": []}
    done = await run(trio, ask(), {**debate, "deadline_s": 40})
    assert (done.text, now()) == ("a says 0", 40)
    assert "an earlier answer is returned" in reasons(done)


@pytest.mark.parametrize("keep_first", [True, False])
@pytest.mark.parametrize("late", ["proposers", "aggregator", "model"])
@simulated_time
async def test_the_first_answer_of_a_cascade_is_the_net_of_its_escalation(
    trio: Trio, ask: Ask, late: str, keep_first: bool
) -> None:
    trio["a"].logprob = -5.0
    trio["b"].hang = True
    if late == "aggregator":
        slow(trio["a"], where="Reference", seconds=1000)
    team = {**LITE, "layers": [["b"] if late == "proposers" else ["c"]], "aggregator": "b", "fallbacks": []}
    cascade = {"id": "x", "strategy": "cascade", "first": "a", "escalate": "b" if late == "model" else "team"}
    done = await run(trio, ask(), {**cascade, "keep_first": keep_first, "deadline_s": 40}, team)
    expected = "c says 0" if late == "aggregator" and not keep_first else "a says 0"
    assert (done.text, now()) == (expected, 40)
    assert done.report is not None
    assert done.report.degraded


@simulated_time
async def test_a_first_model_that_is_late_leaves_time_for_the_whole_escalation(trio: Trio, ask: Ask) -> None:
    slow(trio["c"], where="", seconds=1000)
    cascade = {"id": "x", "strategy": "cascade", "first": "c", "escalate": "team", "deadline_s": 80}
    team = {**LITE, "layers": [["a", "b"], ["a", "c"]]}
    done = await run(trio, ask(), cascade, team)
    # Of 60 s before the answer 20 for the first model; then two layers: the first takes no time, the second the rest.
    assert (done.text, now()) == ("a says 1", 60)
    assert "The first model did not answer; 'team' answered instead." in reasons(done)


@simulated_time
async def test_parts_of_a_plan_that_are_late_are_left_out(trio: Trio, ask: Ask) -> None:
    plan = {"id": "x", "strategy": "plan", "planner": "c", "executors": ["a", "b"], "synthesizer": "c"}
    trio["c"].answer = lambda request: '["one", "two"]' if "JSON list" in request.messages[-1].content else "joined"
    slow(trio["b"], where="only this part", seconds=1000)
    done = await run(trio, ask(), {**plan, "deadline_s": 40})
    assert (done.text, now()) == ("joined", 30)
    assert "Part 2 of the plan was not ready in time." in reasons(done)


@simulated_time
async def test_a_planner_that_is_late_leaves_time_for_the_executors(trio: Trio, ask: Ask) -> None:
    trio["c"].hang = True
    plan = {"id": "x", "strategy": "plan", "planner": "c", "executors": ["a", "b"], "synthesizer": "a"}
    done = await run(trio, ask(), {**plan, "deadline_s": 80})
    assert (done.text, now()) == ("a says 2", 30)


@simulated_time
async def test_adaptive_asks_no_more_proposers_without_time(trio: Trio, ask: Ask) -> None:
    trio["a"].ttft_s = trio["b"].ttft_s = 35.0
    adaptive = {"id": "x", "strategy": "adaptive", "proposers": ["a", "b", "c"], "aggregator": "c", "deadline_s": 40}
    done = await run(trio, ask(), {**adaptive, "min_proposals": 2})
    assert done.text.startswith("c says")
    assert len(trio["c"].requests) == 1
    assert "There was no time to ask all proposers" in reasons(done)


@pytest.mark.parametrize("step", [1, 2])
@simulated_time
async def test_the_last_batch_of_adaptive_leaves_time_for_the_answer(trio: Trio, ask: Ask, step: int) -> None:
    trio["c"].hang = True
    adaptive = {"id": "x", "strategy": "adaptive", "proposers": ["a", "b", "c"], "aggregator": "a", "deadline_s": 40}
    done = await run(trio, ask(), {**adaptive, "min_proposals": 2, "step": step})
    assert (done.text, now()) == ("a says 2", 30)


@simulated_time
async def test_a_window_over_samples_stops_in_time(trio: Trio, ask: Ask) -> None:
    slow(trio["a"], where="says", seconds=1000)
    seq = {"id": "x", "strategy": "self_moa_seq", "proposer": "b", "aggregator": "a", "samples": 12, "fallbacks": ["c"]}
    done = await run(trio, ask(), {**seq, "deadline_s": 40, "first_token_deadline_s": 5})
    assert (done.text, now()) == ("c says 6", 35)


@simulated_time
async def test_samples_that_are_late_themselves_are_read_at_once(trio: Trio, ask: Ask) -> None:
    trio["b"].ttft_s = 31.0
    seq = {"id": "x", "strategy": "self_moa_seq", "proposer": "b", "aggregator": "a", "samples": 12, "deadline_s": 40}
    done = await run(trio, ask(), seq)
    assert (done.text, now()) == ("a says 6", 31)
    assert "There was no time to read all samples" in reasons(done)


@pytest.mark.parametrize(
    ("escalation", "ends"),
    [
        ({"strategy": "blend", "proposers": ["a", "b"], "judge": "a", "aggregator": "a"}, 20),
        ({"strategy": "plan", "planner": "a", "executors": ["b"], "synthesizer": "a"}, 20),
        ({"strategy": "self_moa", "proposer": "a", "aggregator": "a"}, 30),
        ({"strategy": "self_moa_seq", "proposer": "a", "aggregator": "a", "samples": 9}, 20),
        ({"strategy": "staircase", "proposers": ["a", "b"], "aggregator": "a"}, 30),
        ({"strategy": "adaptive", "proposers": ["a", "b", "b"], "aggregator": "a"}, 20),
        ({"strategy": "auto", "otherwise": "inner"}, 30),
        ({"strategy": "cascade", "first": "b", "escalate": "inner"}, 20),
        ({"strategy": "debate", "solver": "a", "critic": "b"}, 60),
    ],
)
@simulated_time
async def test_a_cascade_leaves_the_steps_of_its_escalation_their_time(
    trio: Trio, ask: Ask, escalation: dict[str, Any], ends: float
) -> None:
    trio["a"].answer = trio["b"].answer = "ACCEPT"
    slow(trio["c"], where="", seconds=1000)
    cascade = {"id": "x", "strategy": "cascade", "first": "c", "escalate": "y", "deadline_s": 80}
    inner = {"id": "inner", "layers": [["a"]], "aggregator": "a", "prefill": "off"}
    done = await run(trio, ask(), cascade, {"id": "y", **escalation}, inner)
    assert done.text == "ACCEPT"
    assert now() == ends


@simulated_time
async def test_a_vote_needs_no_time_for_an_answer(trio: Trio, ask: Ask) -> None:
    trio["a"].ttft_s, trio["c"].hang = 39.0, True
    done = await run(trio, ask(), {"id": "x", "strategy": "vote", "proposers": ["a", "b", "c"], "deadline_s": 40})
    assert (done.text, now()) == ("a says 0", 40)


# -- every strategy, any delays --------------------------------------------------------------------------------------

DELAYS = st.fixed_dictionaries({name: st.floats(0, 1.5) for name in NAMES})  # in deadlines
SETTLED = shapes(
    min_proposals=st.integers(1, 3),
    straggler_grace_s=st.sampled_from([None, 0.0, 3.0]),
    refill=st.booleans(),
    below_quorum=st.sampled_from(["fail", "answer", "single"]),
    reference_order=st.sampled_from(["declared", "arrival"]),
    answer_share=st.sampled_from([0.1, 0.25, 0.5]),
)


class Traces(Observer):
    """Keeps the traces of all agents, also of a request that fails."""

    def __init__(self) -> None:
        self.traces: list[AgentTrace] = []

    def agent_ended(self, recipe: str, trace: AgentTrace) -> None:
        self.traces.append(trace)


def in_hand(shape: Shape, traces: Sequence[AgentTrace]) -> bool:
    """True if the recipe had as many usable answers as it needs."""
    good = [trace for trace in traces if trace.status == "ok"]
    layers = {trace.layer for trace in good if trace.role == "proposer"}
    needed = shape.fitting(shape.strategy, "").get("min_proposals", 1)
    proposals = {layer: sum(one.layer == layer and one.role == "proposer" for one in good) for layer in layers}
    if shape.strategy == "adaptive":
        return sum(proposals.values()) >= needed
    if shape.strategy in ("debate", "cascade"):
        return any(trace.role in ("solver", "first") for trace in good)
    if shape.strategy == "plan":
        return any(trace.role == "executor" for trace in good) and needed == 1
    if shape.strategy == "auto":
        needed = shape.fitting("layered", "").get("min_proposals", 1)
    return bool(layers) and proposals[min(layers)] >= needed


def simulated(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)


@settings(max_examples=300, deadline=None)
@given(SETTLED, DELAYS, st.floats(0.5, 500), st.booleans(), st.floats(0, 0.2))
def test_of_every_strategy_what_is_in_hand_before_the_deadline_becomes_an_answer(
    shape: Shape, delays: dict[str, float], deadline_s: float, streamed: bool, pace: float
) -> None:
    models = engines()
    for name, engine in models.items():
        engine.ttft_s, engine.itl_s, engine.logprob = delays[name] * deadline_s, pace * deadline_s, shape.logprob
    seen = Traces()
    served = Orchestrator(models, load_recipes(shape.recipes("")), observer=seen).engines["team"]
    request = GenerateRequest("r", (Message("user", "Why?"),), deadline_s=deadline_s)
    request = request if streamed else replace(request, stream_interval=None)

    async def ended() -> tuple[Completion | MoaError, float]:
        try:
            return await complete("team", served, request), now()
        except MoaError as error:
            return error, now()

    done, took_s = simulated(ended())
    assert took_s <= deadline_s * 1.0001
    assert [engine.running for engine in models.values()] == [0] * len(models)
    if isinstance(done, Completion):
        [choice] = done.choices
        assert choice.text.strip() or choice.finish_reason == "length"
        assert done.report is not None
        last = {(trace.layer, trace.agent): trace.status for trace in done.report.agents}  # of a refilled slot
        assert done.report.degraded or all(status in ("ok", "cancelled") for status in last.values())
    else:
        assert not in_hand(shape, seen.traces), (done, seen.traces)
