"""Rank: verdicts over rotated orders."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from serving.engines.scripted import ScriptedEngine
from serving.types import Delta, GenerateRequest
from tests.support.recipes import Ask, Trio, run


async def test_rank_asks_in_every_order_and_a_favoured_place_cancels_out(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer = "good answer", "bad answer"
    verdicts = ScriptedEngine(
        "c", lambda request: "proposal of c" if "Candidates" not in str(request.messages) else "1"
    )
    done = await run({**trio, "c": verdicts}, ask(), "rank")
    orders = [request for request in verdicts.requests if "Candidates" in str(request.messages)]
    assert len(orders) == 3
    assert done.text == "good answer"  # each candidate got one vote: the tie goes to the first

    def prefers(request: GenerateRequest) -> str:
        text = request.messages[-1].content
        if "Candidates" not in text:
            return "proposal of c"
        return next(number for number in "123" if f"\n{number}. bad answer" in text)

    trio["c"].answer = prefers
    assert (await run(trio, ask(), "rank")).text == "bad answer"


async def test_a_judge_that_says_nothing_readable_degrades(trio: Trio, ask: Ask) -> None:
    trio["c"].answer = "no idea"
    done = await run(trio, ask(), "rank")
    assert done.report is not None
    assert done.report.degraded
    assert done.text == "a says 0"


async def test_a_defect_while_one_judge_is_asked_leaves_no_other_at_work(trio: Trio, ask: Ask) -> None:
    def verdict(request: GenerateRequest) -> str:
        raise ZeroDivisionError

    async def first_hangs(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        if request.request_id.endswith("-2-0"):
            await asyncio.Event().wait()
        async for delta in stream:
            yield delta

    trio["c"].intercept, trio["c"].answer = first_hangs, verdict
    rank = {"id": "rank", "strategy": "rank", "proposers": ["a", "b"], "judge": {"model": "c", "temperature": 1}}
    with pytest.raises(ExceptionGroup):
        await run(trio, ask(), rank)
    assert trio["c"].running == 0
