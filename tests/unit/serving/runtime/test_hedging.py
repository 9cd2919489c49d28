import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.runtime import hedging
from serving.runtime.hedging import ENOUGH, STEP, HedgeBudget
from serving.types import Delta, GenerateRequest


def test_a_hedge_waits_for_the_quantile_of_its_kind() -> None:
    budget = HedgeBudget()
    for duration_s in range(100):
        budget.record("fast", duration_s)
    assert budget.after_s("other", 0.95) is None
    assert 93 < (budget.after_s("fast", 0.95) or 0) < 96


def test_a_quantile_is_computed_anew_only_when_much_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, sorts = HedgeBudget(), []
    monkeypatch.setattr(hedging, "sorted", lambda given: sorts.append(1) or sorted(given), raising=False)
    for duration_s in range(100):
        budget.record("kind", duration_s)
        budget.after_s("kind", 0.95)
    assert 0 < len(sorts) <= 100 // STEP
    assert 80 < (budget.after_s("kind", 0.95) or 0) < 96


async def test_the_only_replica_is_not_asked_twice(
    orchestrate: Callable[..., Orchestrator], trio: dict[str, ScriptedEngine], ask: Callable[..., GenerateRequest]
) -> None:
    trio["b"].replicas = 1  # type: ignore[attr-defined]
    team = orchestrate(layers=[["b"]], hedge=True)
    team.runtime.budget.share = 1.0
    for _ in range(ENOUGH):
        team.runtime.budget.record(("team", 1, "b"), 0.001)
    trio["b"].ttft_s = 0.05
    await complete("team", team.engines["team"], ask())
    assert len(trio["b"].requests) == 1
    trio["b"].replicas = 2  # type: ignore[attr-defined]
    await complete("team", team.engines["team"], ask())
    assert len(trio["b"].requests) == 3


def test_hedges_stay_below_their_share_of_calls() -> None:
    budget = HedgeBudget(share=0.05)
    taken = 0
    for _ in range(1000):
        budget.started()
        taken += budget.take()
    assert taken == budget.hedges == 50


async def test_a_slow_call_is_answered_by_its_second_attempt(
    orchestrate: Callable[..., Orchestrator], trio: dict[str, ScriptedEngine], ask: Callable[..., GenerateRequest]
) -> None:
    team = orchestrate(layers=[["b"]], hedge=True)
    team.runtime.budget.share = 1.0
    for _ in range(ENOUGH):
        await complete("team", team.engines["team"], ask())
    calls = []

    async def first_hangs(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        calls.append(request.request_id)
        if len(calls) == 1:
            await asyncio.Event().wait()
        async for delta in stream:
            yield delta

    trio["b"].intercept = first_hangs
    done = await complete("team", team.engines["team"], ask())
    assert done.text == "a says 1"
    assert done.report is not None
    assert done.report.agents[0].hedged
    assert "token count of its other attempts" in done.report.reasons[0]
    assert len(set(calls)) == 2
    assert trio["b"].running == 0
