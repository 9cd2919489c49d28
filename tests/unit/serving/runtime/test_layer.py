"""One layer: engines that break the stream contract, retries, and prefills that are not needed."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import DeadlineExceeded, EngineFailed, EngineUnavailable, QuorumNotReached
from serving.orchestrator import Orchestrator
from serving.runtime.context import RunContext
from serving.types import Completion, Delta, GenerateRequest

Trio = dict[str, ScriptedEngine]
Make = Callable[..., Orchestrator]
Ask = Callable[..., GenerateRequest]
LONG = "the quick brown fox jumps over the lazy dog and runs away " * 12


async def answer(orchestrator: Orchestrator, request: GenerateRequest) -> Completion:
    return await complete("team", orchestrator.engines["team"], request)


async def test_an_engine_that_gives_one_answer_of_three_has_failed(orchestrate: Make, trio: Trio, ask: Ask) -> None:

    async def only_one(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        async for delta in stream:
            if delta.index == request.sampling.n - 1:
                yield Delta(delta.text, 0, finish_reason=delta.finish_reason, usage=delta.usage)

    trio["b"].intercept = only_one
    done = await answer(orchestrate(layers=[["b", "b", "b", "c"]]), ask())
    assert done.text == "a says 1"
    assert done.report is not None
    assert done.report.reasons[0] == "'b' (proposer, layer 1) broke off its answer."


async def test_a_second_attempt_does_not_go_on_from_the_first_ones_text(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:
    attempts = []

    async def lost_in_the_middle(
        request: GenerateRequest, stream: AsyncGenerator[Delta, None]
    ) -> AsyncGenerator[Delta, None]:
        attempts.append(request)
        if len(attempts) == 1:
            yield Delta("a replica that is lost " + LONG)
            raise EngineUnavailable("b")
        async for delta in stream:
            yield delta

    trio["b"].intercept = lost_in_the_middle
    trio["b"].answer = LONG
    team = orchestrate(layers=[["b"]], prefill="incremental")
    team.runtime.prefill_settle_s = 0
    await answer(team, ask())
    assert len(attempts) == 2
    # If it continued, there would soon be more of it than either attempt said.
    said = [sum(message.content.count("fox") for message in request.messages) for request, _ in trio["a"].prefills]
    assert 0 < max(said) <= LONG.count("fox")


async def test_prompts_are_built_for_prefills_that_are_made_and_not_for_every_token(
    orchestrate: Make, trio: Trio, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    prompted = RunContext.prompted
    monkeypatch.setattr(
        RunContext, "prompted", lambda self, *given, **named: built.append("") or prompted(self, *given, **named)
    )
    trio["b"].answer = LONG  # 144 words, 696 characters: a step is 128
    await answer(orchestrate(layers=[["b"]], prefill="incremental"), ask())
    assert len(trio["b"].requests) == 1
    assert len(built) <= 2 + 696 // 128 + 1  # the two calls, a prefill a step, and the first one


async def test_the_deadline_that_is_told_is_the_one_that_held(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.hang = True
    request = GenerateRequest("r1", ask().messages, deadline_s=0.02)
    with pytest.raises(DeadlineExceeded, match=r"'team' did not finish within its deadline of 0\.02 s"):
        await answer(orchestrate(deadline_s=300), request)


@pytest.mark.parametrize(
    ("broken", "outcome"), [({"error": EngineFailed("b", "gone")}, "failed"), ({"hang": True}, "straggler")]
)
async def test_every_slot_of_a_call_that_was_lost_is_in_the_trace(
    orchestrate: Make, trio: Trio, ask: Ask, broken: dict[str, object], outcome: str
) -> None:
    for name, value in broken.items():
        setattr(trio["b"], name, value)
    done = await answer(orchestrate(layers=[["b", "b", "b", "c"]], straggler_grace_s=0.0), ask())
    assert done.report is not None
    assert [(agent.agent, agent.status) for agent in done.report.agents if agent.layer == 1] == [
        (0, outcome),
        (1, outcome),
        (2, outcome),
        (3, "ok"),
    ]


async def test_a_quorum_that_cannot_be_reached_any_more_is_not_waited_for(
    orchestrate: Make, trio: Trio, ask: Ask
) -> None:
    trio["b"].error, trio["c"].hang = EngineFailed("b", "gone"), True
    with pytest.raises(QuorumNotReached, match="gone"):
        async with asyncio.timeout(60):
            await answer(orchestrate(min_proposals=3), ask())
    assert trio["c"].running == 0


async def test_a_quorum_counts_every_answer_of_a_call_that_still_runs(orchestrate: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].ttft_s = 0.01
    trio["c"].error = EngineFailed("c", "gone")
    done = await answer(orchestrate(layers=[["b", "b", "c"]], min_proposals=2), ask())
    assert done.text == "a says 2"
