"""One agent's call: the times in its trace, and the maximum length of its answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from serving.engine import answer_tokens, complete
from serving.engines.scripted import ScriptedEngine, words
from serving.errors import ContextTooLong, EngineFailed
from serving.orchestrator import Orchestrator
from serving.runtime.agents import Agent
from serving.runtime.call import Runtime
from serving.runtime.context import RunContext
from serving.runtime.policy import Policy
from serving.runtime.report import ReportBuilder
from serving.runtime.truncation import PromptFitter
from serving.types import Completion, Delta, GenerateRequest, Reference, ReferenceBlock, References
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
