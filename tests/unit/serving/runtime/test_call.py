"""One agent's call: the times in its trace, its signs of life, and the maximum length of its answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from serving.conversation import Message, Tool, ToolCall, ToolCallDelta
from serving.engine import answer_tokens, complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine, words
from serving.errors import ContextTooLong, DeadlineExceeded, EngineFailed
from serving.orchestrator import Orchestrator
from serving.references import Reference, ReferenceBlock, References
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.policy import Policy
from serving.runtime.report import ReportBuilder
from serving.runtime.shared_state import Runtime
from serving.runtime.truncation import PromptFitter
from serving.types import Completion, Delta, GenerateRequest
from tests.support.clock import simulated_time

Trio = dict[str, ScriptedEngine]
Make = Callable[..., Orchestrator]
Ask = Callable[..., GenerateRequest]
WAY_S = 2.0


async def answer(orchestrator: Orchestrator, request: GenerateRequest) -> Completion:
    return await complete("team", orchestrator.engines["team"], request)


def far_away(engine: ScriptedEngine) -> None:
    """Delay every answer by `WAY_S`, which is not part of the engine's own time."""

    async def late(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        await asyncio.sleep(WAY_S)
        async for delta in stream:
            yield delta

    engine.intercept = late


@simulated_time
async def test_the_engines_time_is_kept_apart_from_the_orchestrators(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        far_away(engine)
    done = await answer(orchestrate(), ask())
    assert done.report is not None
    assert len(done.report.agents) == 4
    for agent in done.report.agents:
        assert agent.timing.total_s is not None
        assert agent.elapsed_s is not None
        assert agent.elapsed_s - agent.timing.total_s == pytest.approx(WAY_S)


@simulated_time
async def test_a_call_without_an_answer_has_the_time_that_it_took(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].error = EngineFailed("b", "out of memory")
    far_away(trio["b"])
    trio["c"].hang = True
    for layers, outcome in (([["a", "b"]], "failed"), ([["a", "c"]], "straggler")):
        grace_s = WAY_S if outcome == "straggler" else None
        done = await answer(orchestrate(layers=layers, straggler_grace_s=grace_s), ask())
        assert done.report is not None
        agents = {agent.status: agent for agent in done.report.agents}
        assert agents[outcome].timing.total_s is None
        assert agents[outcome].elapsed_s == pytest.approx(WAY_S)


async def test_references_leave_an_eighth_of_the_context_to_the_answer(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].answer = "word " * 500
    team = orchestrate(layers=[["b"]], fallbacks=[], proposal_max_tokens=999)
    whole = sum(len(message.content.split()) + 4 for message in (await asked(team, trio["a"], ask())).messages)
    trio["a"].context_tokens = whole + 2  # all of it fits, and leaves two tokens to the answer
    trio["a"].answer = "said " * 1000
    done = await answer(team, ask())
    assert done.report is not None
    assert done.report.agents[-1].shortened == 1
    assert done.usage.completion_tokens is not None
    assert len(done.text.split()) >= trio["a"].context_tokens // 8


async def asked(team: Orchestrator, engine: ScriptedEngine, request: GenerateRequest) -> GenerateRequest:
    await answer(team, request)
    return engine.requests[-1]


@pytest.mark.parametrize(
    ("references", "sampling", "kept"),
    [((), {}, 0), ((Reference("b", "x"),), {"max_tokens": 5}, 0), ((Reference("b", "x"),), {}, 125)],
)
def test_room_is_kept_only_if_references_can_be_shortened_and_the_caller_sets_no_limit(
    ask: Ask, references: References, sampling: dict[str, int], kept: int
) -> None:
    request = replace(ask(**sampling), references=ReferenceBlock(references, "P:"))
    assert PromptFitter(request, 1000).min_answer_tokens == kept


@pytest.mark.parametrize(
    ("sampling", "changes", "min_answer_tokens", "prompt_tokens", "most"),
    [
        ({}, {}, 0, 8190, 2),
        ({}, {}, 0, 8192, None),
        ({}, {}, 1024, 7168, 1024),
        ({}, {}, 1024, 7169, None),
        ({}, {"token_cap": 50}, 0, 100, 50),
        ({}, {"token_cap": 50}, 0, 8190, 2),
        ({"max_tokens": 20}, {"token_cap": 10}, 1024, 8172, 20),
        ({"max_tokens": 20}, {}, 0, 8173, None),
    ],
)
def test_how_long_an_answer_may_be(
    ask: Ask,
    sampling: dict[str, int],
    changes: dict[str, int],
    min_answer_tokens: int,
    prompt_tokens: int,
    most: int | None,
) -> None:
    request = replace(ask(**sampling), **changes)  # type: ignore[arg-type]
    if most is not None:
        assert answer_tokens("m", request, prompt_tokens, 8192, min_answer_tokens) == most
        return
    with pytest.raises(ContextTooLong):
        answer_tokens("m", request, prompt_tokens, 8192, min_answer_tokens)


async def test_a_conversation_that_fills_its_context_is_answered_with_what_is_left(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:
    team = orchestrate(layers=[["b"]], fallbacks=[])
    await answer(team, ask())
    extra = sum(len(words(message.content)) + 4 for message in trio["a"].requests[-1].messages) - 1
    trio["a"].context_tokens = 3000 + extra + 20
    done = await answer(team, ask("word " * 3000))
    assert done.text == "a says 1"
    assert done.report is not None
    assert not done.report.degraded


def test_an_operators_limit_makes_room_for_itself_at_an_endpoint(ask: Ask) -> None:
    request = replace(ask(), token_cap=5000)
    assert PromptFitter(request, 4096).request.token_cap is None
    fitting = PromptFitter(request, 8192)
    assert fitting.request.token_cap == 5000
    fitting.shorten(ContextTooLong("m", 4000, 8192))
    assert fitting.request.token_cap == 4192
    with pytest.raises(ContextTooLong):
        fitting.shorten(ContextTooLong("m", 8192, 8192))


async def test_an_answer_shorter_than_the_callers_least_is_not_asked_for(ask: Ask) -> None:
    def min_tokens(agent: Agent, **sampling: int) -> int:
        context = RunContext(ask(min_tokens=20, **sampling), Policy(), Runtime({}), ReportBuilder("team"))
        return context.answer_sampling(agent).min_tokens

    assert min_tokens(Agent(model="a", max_tokens=8)) == 8
    assert min_tokens(Agent(model="a", max_tokens=8), max_tokens=30) == 20
    assert min_tokens(Agent(model="a")) == 20


@simulated_time
async def test_a_timeout_has_the_time_that_it_took(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["a"].hang = True
    seen = []
    team = orchestrate(layers=[["b"]], fallbacks=[], first_token_deadline_s=WAY_S)
    team.runtime.observer.agent_ended = lambda recipe, trace: seen.append(trace)  # type: ignore[method-assign]
    await answer(team, ask())  # the proposal itself
    assert [trace.status for trace in seen] == ["ok", "timeout"]
    assert seen[-1].elapsed_s == pytest.approx(WAY_S)


# -- signs of life ---------------------------------------------------------------------------------------------------

CALL = ToolCall("c1", "add", '{"a": 1}')


def call_of(engine: ScriptedEngine) -> AgentCall:
    request = GenerateRequest("r", (Message("user", "Why?"),), tools=(Tool("add"),))
    return AgentCall(Runtime({"m": engine}), "team", 2, (0,), "aggregator", "m", request, 0.0)


async def deltas(call: AgentCall, first_s: float = 1.0, deadline_s: float = 10.0) -> AsyncGenerator[Delta, None]:
    async for delta in call.stream(deadline_s=deadline_s, first_token_deadline_s=first_s):
        yield delta


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        (ScriptedAnswer("text here", "Let me think."), Delta(reasoning="Let")),
        (ScriptedAnswer("", "", (CALL,)), Delta(tool_calls=(ToolCallDelta(0, "c1", "add", '{"a":'),))),
    ],
)
@simulated_time
async def test_reasoning_and_tool_calls_are_signs_of_life_and_are_passed_on_at_once(
    answer: ScriptedAnswer, first: Delta
) -> None:
    call = call_of(ScriptedEngine("m", answer, ttft_s=0.5, itl_s=0.9))
    loop = asyncio.get_running_loop()
    began = loop.time()
    seen = [(delta, loop.time() - began) async for delta in deltas(call)]
    assert seen[0] == (first, pytest.approx(0.5))  # the text itself comes after the deadline of the first token
    [trace] = call.traces()
    assert (trace.status, trace.text, trace.reasoning) == ("ok", answer.text, answer.reasoning)
    assert trace.tool_calls == answer.tool_calls


@simulated_time
async def test_silence_after_reasoning_ends_at_the_deadline_of_the_call() -> None:
    call = call_of(ScriptedEngine("m", ScriptedAnswer("text", "Hm."), itl_s=100.0))
    stream = deltas(call)
    assert (await anext(stream)).reasoning == "Hm."
    with pytest.raises(DeadlineExceeded, match="'m' did not finish within its deadline of 10 s"):
        await anext(stream)
    [trace] = call.traces()
    assert (trace.status, trace.reasoning, trace.text) == ("timeout", "Hm.", "")


@pytest.mark.parametrize("text", ["", " \n "])
@pytest.mark.parametrize("interval", [1, None])
async def test_reasoning_alone_is_an_answer_of_the_final_agent(text: str, interval: int | None) -> None:
    call = call_of(ScriptedEngine("m", ScriptedAnswer(text, "Hm. So.")))
    call.request = replace(call.request, stream_interval=interval)
    seen = [delta async for delta in deltas(call)]
    assert "".join(delta.text for delta in seen) == text
    assert "".join(delta.reasoning for delta in seen) == "Hm. So."
    assert seen[-1].finish_reason == "stop"
    [trace] = call.traces()
    assert (trace.status, trace.usage.reasoning_tokens) == ("ok", 2)


async def test_white_space_before_the_first_sign_of_life_is_kept_back_and_not_lost() -> None:
    call = call_of(ScriptedEngine("m"))

    async def stream(request: GenerateRequest, scripted: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        yield Delta(" ")
        yield Delta(reasoning="Hm.")
        yield Delta("\n")
        async for delta in scripted:
            yield delta

    engine = call.engine
    assert isinstance(engine, ScriptedEngine)
    engine.intercept = stream
    seen = [delta async for delta in deltas(call)]
    assert [delta.text + delta.reasoning for delta in seen[:3]] == [" ", "Hm.", "\n"]
    assert call.traces()[0].text == " \nok"


async def test_a_final_agent_is_replaced_only_if_nothing_of_it_was_sent(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:
    trio["a"].answer = ScriptedAnswer("", "All tokens are thoughts.")
    trio["a"].error, trio["a"].fail_after = EngineFailed("a", "gone"), 2
    team = orchestrate(layers=[["b"]])
    with pytest.raises(EngineFailed, match="gone"):
        await answer(team, ask())
    done = await answer(team, replace(ask(), stream_interval=None))
    assert done.text == "b says 1"
    assert done.report is not None
    assert done.report.degraded


async def test_a_proposer_that_only_reasons_is_empty(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].answer = ScriptedAnswer("", "All tokens are thoughts.")
    for prefill in ("off", "incremental"):
        done = await answer(orchestrate(prefill=prefill), ask())
        assert done.text == "a says 2"
        assert done.report is not None
        [empty] = [trace for trace in done.report.agents if trace.status == "empty"]
        assert (empty.model, empty.reasoning) == ("b", "All tokens are thoughts.")
        assert "'b' (proposer, layer 1) gave reasoning, but no answer." in done.report.reasons
