"""Property tests of all strategies, over random recipes, failures and moments of cancellation."""

import asyncio
import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from serving.conversation import Message, ToolChoice
from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed, MoaError, QuorumNotReached, UnsupportedField
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.loading import STRATEGIES
from serving.types import AgentTrace, Completion, GenerateRequest, Sampling
from serving.usage import TokenUsage
from tests.support.composition import (
    CALL,
    CHOICES,
    FAULTS,
    HURRIED,
    NAMES,
    THOUGHT,
    Shape,
    acting,
    broken,
    engines,
    shapes,
)

SHAPES = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5), min_size=1, max_size=4)
REQUEST = GenerateRequest("r", (Message("user", "Why?"),))


def counted(done: Completion) -> TokenUsage:
    """The sum over all agents whose tokens are known."""
    total = TokenUsage()
    assert done.report is not None
    for trace in done.report.agents:
        if trace.usage.completion_tokens is not None:
            total += trace.usage
    return total


def team(models: dict[str, ScriptedEngine], shape: list[list[str]], prefill: str, **changes: object) -> Orchestrator:
    recipe = {"id": "team", "layers": shape, "aggregator": "a", "prefill": prefill, **changes}
    return Orchestrator(models, load_recipes([recipe]))  # type: ignore[list-item]


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.sampled_from(["off", "on_complete", "incremental"]), st.sampled_from([0.0, 0.7]))
def test_every_agent_sees_exactly_the_layer_before(shape: list[list[str]], prefill: str, temperature: float) -> None:
    models = engines()
    request = GenerateRequest("r", REQUEST.messages, Sampling(temperature=temperature))
    done = asyncio.run(complete("team", team(models, shape, prefill).engines["team"], request))
    assert done.report is not None
    layers = [[], *shape, ["a"]]
    for trace in done.report.agents:
        expected = "".join(layers[trace.layer - 1])
        assert trace.text == f"{trace.model}[{expected}]"
    told = [(trace.layer, trace.model) for trace in done.report.agents]
    assert told == [(number, model) for number, layer in enumerate(layers) for model in layer]
    assert done.usage == counted(done)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.sets(st.sampled_from(NAMES[1:])), st.integers(1, 3))
def test_failures_end_in_an_answer_that_says_so_or_a_clear_error(
    shape: list[list[str]], broken: set[str], needed: int
) -> None:
    models = engines()
    for name in broken:
        models[name].error = EngineFailed(name, "broken")
    needed = min(needed, *(len(layer) for layer in shape))
    enough = all(sum(model not in broken for model in layer) >= needed for layer in shape)
    engine = team(models, shape, "on_complete", min_proposals=needed).engines["team"]
    try:
        done = asyncio.run(complete("team", engine, REQUEST))
    except QuorumNotReached:
        assert not enough
    else:
        assert enough
        assert done.report is not None
        assert done.report.degraded == any(set(layer) & broken for layer in shape)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.sampled_from(["off", "on_complete", "incremental"]), st.integers(0, 60))
def test_cancelling_at_any_moment_leaves_no_work(shape: list[list[str]], prefill: str, steps: int) -> None:
    models = engines()
    for engine in models.values():
        engine.itl_s = 1e-6

    async def scenario() -> None:
        task = asyncio.create_task(complete("team", team(models, shape, prefill).engines["team"], REQUEST))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [engine.running for engine in models.values()] == [0, 0, 0, 0]
        assert len(asyncio.all_tasks()) == 1  # this one

    asyncio.run(scenario())


# -- every strategy ------------------------------------------------------------------------------------------------


def said(traces: list[AgentTrace], *roles: str) -> str:
    """The models of all agents in these roles, in their order."""
    return "".join(trace.model for trace in traces if trace.role in roles)


def seen(trace: AgentTrace) -> str:
    """The models of the references that an agent was shown."""
    return trace.text.partition("[")[2].rstrip("]")


def sees_what_it_should(shape: Shape, traces: list[AgentTrace]) -> None:
    """The references in every prompt if all engines answer, as each strategy's description promises."""
    proposals, last = said(traces, "proposer"), traces[-1]
    first = said(traces, "first")
    assert all(
        seen(trace) == "" for trace in traces if trace.layer == 1 and trace.role in ("proposer", "first", "solver")
    )
    match shape.strategy:
        case "layered" | "auto":
            width = len(shape.team)
            for trace in traces[width:]:
                assert seen(trace) == "".join(shape.team)
        case "cascade":
            assert seen(last) == ("" if last.role == "first" else first + proposals)
        case "self_moa" | "staircase":
            assert seen(last) == proposals
        case "self_moa_seq":
            syntheses = [trace for trace in traces if trace.role == "aggregator"]
            assert seen(syntheses[0]) == proposals[:3]
            for trace in syntheses[1:]:
                fresh = seen(trace)[1:]
                assert seen(trace)[0] == shape.last
                assert fresh == shape.team[0] * len(fresh)
        case "blend":
            assert len(seen(last)) == min(shape.number, len(shape.team))
            assert set(seen(last)) <= set(proposals)
        case "adaptive":
            assert last.role == "proposer" or seen(last) == proposals
        case "plan":
            # References stand in the plan's order, parts are begun as soon as they can be.
            assert sorted(seen(last)) == sorted(said(traces, "executor") or proposals)
        case "rank" | "vote":
            assert last.role in ("proposer", "judge")
        case "debate":
            assert all(seen(trace) == "" for trace in traces if trace.role == "solver")


def no_thought_is_shown(models: dict[str, ScriptedEngine]) -> None:
    """Reasoning is in no prompt, except as the history that the caller gave to the final agent."""
    prefills = [request for engine in models.values() for request, _ in engine.prefills]
    for request in (*prefills, *(request for engine in models.values() for request in engine.requests)):
        assert all(THOUGHT not in message.content for message in request.messages)
        if not request.tools:
            assert all(message.reasoning is None and message.role != "tool" for message in request.messages)


@settings(max_examples=250, deadline=None)
@given(shapes(), st.booleans())
def test_of_every_strategy_agents_see_what_they_should_and_cost_what_is_computed(shape: Shape, thinking: bool) -> None:
    models = engines(thinking=thinking)
    request = GenerateRequest("r", REQUEST.messages, Sampling(max_tokens=40))

    async def scenario() -> Completion:
        orchestrator = shape.orchestrator(models)
        done = await complete("team", orchestrator.engines["team"], request)
        cost = orchestrator.recipes["team"].cost(request.sampling, orchestrator.recipes)
        assert done.report is not None
        assert len(done.report.agents) <= cost.calls
        assert (done.usage.completion_tokens or 0) <= (cost.tokens or 0)
        return done

    done = asyncio.run(scenario())
    assert done.report is not None
    assert all(trace.status == "ok" for trace in done.report.agents)
    assert done.usage == done.report.usage == counted(done)
    # The call that wrote the answer is one of the trace; of several samples the first entry has the call's tokens.
    assert done.report.answer_usage in [trace.usage for trace in done.report.agents]
    assert [engine.running for engine in models.values()] == [0] * len(models)
    no_thought_is_shown(models)
    sees_what_it_should(shape, list(done.report.agents))


FAULTY = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(FAULTS), min_size=1, max_size=3)
HASTE = shapes(
    hedge=st.booleans(),
    retries=st.integers(0, 1),
    straggler_grace_s=st.sampled_from([None, 0.0, 0.001]),
    min_proposals=st.integers(1, 3),
    refill=st.booleans(),
    below_quorum=st.sampled_from(["fail", "answer", "single"]),
    tools=st.sampled_from(["final", "vote"]),
    advise=st.sampled_from(["user_turn", "every_turn", {"every": 2}]),
    reference_order=st.sampled_from(["declared", "arrival"]),
    **{name: st.just(value) for name, value in HURRIED.items()},
)


async def ended(shape: Shape, models: dict[str, ScriptedEngine], request: GenerateRequest) -> Completion | MoaError:
    """The answer or the error of a request; nothing is left at work."""
    asked = complete("team", shape.orchestrator(models).engines["team"], request)
    try:
        return await asyncio.wait_for(asked, 120)  # a deadlock would be a TimeoutError
    except MoaError as error:
        return error
    finally:
        assert [engine.running for engine in models.values()] == [0] * len(models)
        assert len(asyncio.all_tasks()) == 1


def is_an_answer_that_says_how_it_was_made(done: Completion) -> None:
    [choice] = done.choices
    assert done.report is not None
    if not (choice.text.strip() or choice.tool_calls):  # the final agent generated something
        assert done.report.answer_usage is not None
        assert done.report.answer_usage.completion_tokens
    assert done.usage == done.report.usage == counted(done)
    assert done.report.answer_usage in [done.usage, *(trace.usage for trace in done.report.agents)]
    slots: dict[tuple[int, int], list[AgentTrace]] = {}
    for trace in done.report.agents:
        slots.setdefault((trace.layer, trace.agent), []).append(trace)
    for first, *others in slots.values():
        if others:  # refilled, once, by another model
            [second] = others
            assert first.status in ("failed", "timeout", "empty")
            assert second.model != first.model
            assert any(f"'{second.model}' was asked instead" in reason for reason in done.report.reasons)
    assert done.report.degraded or all(members[-1].status in ("ok", "cancelled") for members in slots.values())
    if any("the final agent answered without any" in reason for reason in done.report.reasons):
        assert done.report.degraded
        assert seen(done.report.agents[-1]) == ""


def is_an_error_of_its_recipe(error: MoaError, shape: Shape) -> None:
    """A quorum that is missed ends the request only if the recipe says so, or has no agent to answer without."""
    if isinstance(error, QuorumNotReached):
        assert shape.settings["below_quorum"] == "fail" or STRATEGIES[shape.strategy].picks
        assert (error.status, error.retry_after_s) == (503, 5.0)


def calls_are_prose(models: dict[str, ScriptedEngine]) -> None:
    """Drafted and earlier calls are in no message's text except as prose."""
    prefills = [request for engine in models.values() for request, _ in engine.prefills]
    for request in (*prefills, *(request for engine in models.values() for request in engine.requests)):
        for message in request.messages:
            assert len(re.findall(r'\{"what"', message.content)) == len(
                re.findall(r'\((?:would call|called) look with \{"what"', message.content)
            )


@settings(max_examples=150, deadline=None)
@given(HASTE, FAULTY, st.booleans())
def test_of_every_strategy_failures_end_in_an_answer_or_a_clear_error(
    shape: Shape, faults: dict[str, str], thinking: bool
) -> None:
    models = engines(thinking=thinking)
    broken(models, faults)
    done = asyncio.run(ended(shape, models, REQUEST))
    no_thought_is_shown(models)
    if isinstance(done, Completion):
        is_an_answer_that_says_how_it_was_made(done)
    else:
        is_an_error_of_its_recipe(done, shape)


@settings(max_examples=200, deadline=None)
@given(
    HASTE,
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(FAULTS), max_size=2),
    st.sets(st.sampled_from(NAMES)).map("".join),
    st.sets(st.sampled_from(NAMES)).map("".join),
    CHOICES,
    st.booleans(),
    st.booleans(),
)
def test_of_every_strategy_tools_end_in_calls_an_answer_or_a_clear_error(
    shape: Shape,
    faults: dict[str, str],
    able: str,
    dissenting: str,
    choice: ToolChoice,
    continued: bool,
    streaming: bool,
) -> None:
    models = engines(able, thinking=True, dissenting=dissenting)
    broken(models, faults)
    request = replace(acting(REQUEST, choice, continued=continued), stream_interval=1 if streaming else None)
    done = asyncio.run(ended(shape, models, request))
    no_thought_is_shown(models)
    calls_are_prose(models)
    asked = [one for engine in models.values() for one in engine.requests]
    assert all(engine.info.tools for engine in models.values() if any(one.tools for one in engine.requests))
    if isinstance(done, UnsupportedField):
        assert done.param == "tools"
        assert not asked
    elif isinstance(done, Completion):
        is_an_answer_that_says_how_it_was_made(done)
        assert done.report is not None
        if choice.mode != "none" and not STRATEGIES[shape.strategy].picks:
            last = done.report.agents[-1]
            assert done.choices[0].tool_calls or last.model in able or done.report.degraded
        if choice.mode in ("required", "named") and not continued:
            assert done.choices[0].tool_calls
        if done.choices[0].tool_calls:
            [call] = done.choices[0].tool_calls
            assert done.choices[0].finish_reason == "tool_calls"
            drafts = [one for trace in done.report.agents for one in trace.tool_calls if trace.model in able]
            assert (call.name, call.arguments) in [(one.name, one.arguments) for one in drafts]
    else:
        is_an_error_of_its_recipe(done, shape)


@settings(max_examples=150, deadline=None)
@given(
    shapes(tools=st.just("vote")).filter(lambda shape: "vote" in STRATEGIES[shape.strategy].tool_modes),
    st.sets(st.sampled_from(NAMES)).map("".join),
    st.sets(st.sampled_from(NAMES)).map("".join),
    CHOICES.filter(lambda choice: choice.mode != "none"),
)
def test_calls_of_a_majority_of_voters_are_the_answer_and_others_the_final_agents(
    shape: Shape, able: str, dissenting: str, choice: ToolChoice
) -> None:
    models = engines(able, dissenting=dissenting)
    request = acting(REQUEST, choice, continued=False)
    voters = [name for name in shape.layer() if name in able]
    ballots = [name if name in dissenting else CALL for name in voters]
    won = max((ballots.count(one) for one in ballots), default=0) >= max(len(voters) // 2 + 1, 2)
    if "tools" not in shape.fitting(shape.strategy, able) or shape.strategy == "adaptive":
        return
    done = asyncio.run(ended(shape, models, request))
    if not voters or not (STRATEGIES[shape.strategy].picks or models[final_of(shape)].info.tools):
        assert isinstance(done, UnsupportedField)
        return
    assert isinstance(done, Completion)
    assert done.report is not None
    assert done.choices[0].tool_calls or (shape.strategy in ("vote", "rank") and choice.mode == "auto")
    counts = [reason for reason in done.report.reasons if "drafted the same tool calls" in reason]
    assert any("which are the answer" in reason for reason in counts) == won
    roles = {trace.role for trace in done.report.agents}
    if won:
        assert roles == {"proposer"}
        assert max(trace.layer for trace in done.report.agents) == 1
    else:
        assert len(counts) == (shape.number if shape.strategy == "layered" else 1)
        assert ("aggregator" in roles) == (not STRATEGIES[shape.strategy].picks)


def final_of(shape: Shape) -> str:
    return shape.team[0] if shape.strategy == "blend" else shape.last


@settings(max_examples=150, deadline=None)
@given(
    HASTE,
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(FAULTS), max_size=2),
    st.integers(0, 120),
    st.booleans(),
)
def test_of_every_strategy_cancelling_at_any_moment_leaves_no_work(
    shape: Shape, faults: dict[str, str], steps: int, acts: bool
) -> None:
    models = engines("".join(NAMES))
    broken(models, faults)
    request = acting(REQUEST, ToolChoice(), continued=False) if acts else REQUEST

    async def scenario() -> None:
        task = asyncio.create_task(complete("team", shape.orchestrator(models).engines["team"], request))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [engine.running for engine in models.values()] == [0] * len(models)
        assert len(asyncio.all_tasks()) == 1  # this one

    asyncio.run(scenario())
