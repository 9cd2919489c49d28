"""Retries, hedged calls and their budget."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed, EngineUnavailable, QuorumNotReached
from serving.orchestrator import Orchestrator
from serving.runtime import hedging
from serving.runtime.hedging import ENOUGH, STEP, HedgeBudget, RetryBudget, hedged, retried
from serving.types import Delta, GenerateRequest
from tests.support.clock import simulated_time


def test_a_hedge_waits_for_the_quantile_of_its_kind() -> None:
    budget = HedgeBudget()
    for duration_s in range(100):
        budget.record("fast", duration_s)
    assert budget.after_s("other", 0.95) is None
    assert 93 < (budget.after_s("fast", 0.95) or 0) < 96


def test_a_quantile_is_recomputed_only_when_much_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
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
    trio["b"].replicas = 1
    team = orchestrate(layers=[["b"]], hedge=True)
    team.runtime.budget.share = 1.0
    for _ in range(ENOUGH):
        team.runtime.budget.record(("team", 1, "b"), 0.001)
    trio["b"].ttft_s = 0.05
    await complete("team", team.engines["team"], ask())
    assert len(trio["b"].requests) == 1
    trio["b"].replicas = 2
    await complete("team", team.engines["team"], replace(ask(), session="s"))
    assert [request.session for request in trio["b"].requests] == [None, "s", None]  # the second goes to any replica


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
    assert "The tokens of other attempts of" in done.report.reasons[0]
    assert len(set(calls)) == 2
    assert trio["b"].running == 0


# -- retried -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("losses", "retries", "attempts"), [(0, 2, 1), (1, 2, 2), (2, 2, 3)])
async def test_a_lost_call_is_retried_until_it_answers(losses: int, retries: int, attempts: int) -> None:
    made, retried_after = [], []

    async def attempt() -> str:
        made.append(len(made))
        if len(made) <= losses:
            raise EngineUnavailable("m")
        return "answer"

    assert await retried(attempt, retries, lambda: not retried_after.append(len(made))) == "answer"
    assert len(made) == attempts
    assert retried_after == list(range(1, attempts))


@pytest.mark.parametrize("retries", [0, 2])
async def test_the_last_loss_is_raised(retries: int) -> None:
    made = []

    async def attempt() -> str:
        made.append(len(made))
        raise EngineUnavailable("m", f"lost {len(made)}")

    with pytest.raises(EngineUnavailable, match=f"lost {retries + 1}"):
        await retried(attempt, retries, lambda: True)


async def test_a_call_that_would_fail_again_is_not_retried() -> None:
    made: list[int] = []

    async def attempt() -> str:
        made.append(1)
        raise EngineUnavailable("m", "it is starting", retriable=False)

    with pytest.raises(EngineUnavailable):
        await retried(attempt, 5, lambda: not made.append(-1))  # type: ignore[func-returns-value]
    assert made == [1], "and costs no part of the budget"


async def test_any_other_error_is_not_retried() -> None:
    made = []

    async def attempt() -> str:
        made.append(len(made))
        raise EngineFailed("m", "it broke")

    with pytest.raises(EngineFailed):
        await retried(attempt, 5, lambda: not made.append(-1))
    assert made == [0]


async def test_without_budget_the_first_loss_is_raised() -> None:
    made = []

    async def attempt() -> str:
        made.append(len(made))
        raise EngineUnavailable("m", f"lost {len(made)}")

    with pytest.raises(EngineUnavailable, match="lost 1"):
        await retried(attempt, 5, lambda: False)


def test_retries_are_a_share_of_calls_and_a_burst() -> None:
    budget = RetryBudget(share=0.1, burst=100)
    taken = 0
    for _ in range(2000):
        budget.started()
        taken += budget.take() + budget.take()
    assert taken == pytest.approx(300, abs=2)


def test_no_more_retries_are_saved_than_the_burst() -> None:
    budget = RetryBudget(share=0.1, burst=3)
    for _ in range(1000):
        budget.started()
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]


async def test_a_failing_cluster_is_asked_at_most_1_2_times_as_often(
    orchestrate: Callable[..., Orchestrator], trio: dict[str, ScriptedEngine], ask: Callable[..., GenerateRequest]
) -> None:
    for engine in trio.values():
        engine.error = EngineUnavailable(engine.model, "its replica was lost")
    team = orchestrate(layers=[["a", "b", "c"]], retries=5)
    requests = 400
    for number in range(requests):
        with pytest.raises(QuorumNotReached):
            await complete("team", team.engines["team"], replace(ask(), request_id=f"r{number}"))
    assert sum(len(engine.requests) for engine in trio.values()) <= 1.2 * 3 * requests


async def test_final_agents_and_single_models_add_to_the_budget_of_retries(
    orchestrate: Callable[..., Orchestrator], ask: Callable[..., GenerateRequest]
) -> None:
    team = orchestrate(layers=[["b"]])
    team.runtime.retries.saved = 0
    await complete("team", team.engines["team"], ask())
    assert team.runtime.retries.saved == pytest.approx(0.2)  # a proposer and the final agent
    await complete("a", team.engines["a"], ask())
    assert team.runtime.retries.saved == pytest.approx(0.3)


# -- hedged ------------------------------------------------------------------------------------------------


class Attempts:
    """Attempts that take the given times and return their number, or raise; `left` are those still running."""

    def __init__(self, *plans: float | tuple[float, Exception]) -> None:
        self.plans = plans
        self.begun: list[int] = []
        self.left: set[int] = set()
        self.asked = 0

    async def __call__(self, number: int) -> int:
        self.begun.append(number)
        self.left.add(number)
        plan = self.plans[number - 1]
        takes_s, error = plan if isinstance(plan, tuple) else (plan, None)
        try:
            await asyncio.sleep(takes_s)
            if error is not None:
                raise error
            return number
        finally:
            self.left.discard(number)

    def may_hedge(self) -> bool:
        self.asked += 1
        return True


FIRST, SECOND = EngineFailed("m", "first"), EngineFailed("m", "second")


@pytest.mark.parametrize(
    ("plans", "result", "begun"),
    [
        ((1.0,), (1, False), [1]),  # answers before a second attempt is due
        ((10.0, 1.0), (2, True), [1, 2]),  # the second wins
        ((3.0, 9.0), (1, False), [1, 2]),  # the first wins all the same
        (((3.0, FIRST), 5.0), (2, True), [1, 2]),  # the first fails, the second answers
        ((5.0, (1.0, SECOND)), (1, False), [1, 2]),  # the second fails, the first answers
    ],
)
@simulated_time
async def test_the_first_answer_wins_and_the_other_attempt_has_ended(
    plans: tuple[float | tuple[float, Exception], ...], result: tuple[int, bool], begun: list[int]
) -> None:
    attempts = Attempts(*plans)
    assert await hedged(attempts, 2.0, attempts.may_hedge) == result
    assert attempts.begun == begun
    assert not attempts.left
    assert attempts.asked == len(begun) - 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("plans", [((3.0, FIRST), (9.0, SECOND)), ((9.0, FIRST), (1.0, SECOND))])
@simulated_time
async def test_if_both_attempts_fail_the_firsts_error_is_raised(plans: tuple[tuple[float, Exception], ...]) -> None:
    attempts = Attempts(*plans)
    with pytest.raises(EngineFailed, match="first"):
        await hedged(attempts, 2.0, attempts.may_hedge)
    assert attempts.begun == [1, 2]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@simulated_time
async def test_an_error_before_a_second_attempt_is_due_is_raised_at_once() -> None:
    attempts = Attempts((1.0, FIRST))
    with pytest.raises(EngineFailed, match="first"):
        await hedged(attempts, 2.0, attempts.may_hedge)
    assert (attempts.begun, attempts.asked) == ([1], 0)


@pytest.mark.parametrize("after_s", [None, 0.0])
@simulated_time
async def test_without_a_time_there_is_no_second_attempt(after_s: float | None) -> None:
    attempts = Attempts(100.0)
    assert await hedged(attempts, after_s, attempts.may_hedge) == (1, False)
    assert attempts.asked == 0


@simulated_time
async def test_without_budget_the_first_attempt_goes_on() -> None:
    attempts = Attempts(100.0)
    assert await hedged(attempts, 2.0, lambda: False) == (1, False)
    assert attempts.begun == [1]


@simulated_time
async def test_a_cancelled_call_leaves_no_attempt_behind() -> None:
    attempts = Attempts(100.0, 100.0)
    call = asyncio.ensure_future(hedged(attempts, 2.0, attempts.may_hedge))
    await asyncio.sleep(3)
    assert attempts.left == {1, 2}
    call.cancel()
    await asyncio.wait({call})
    assert not attempts.left
    assert asyncio.all_tasks() == {asyncio.current_task()}
