"""Rank: verdicts over rotated orders."""

from serving.engines.scripted import ScriptedEngine
from serving.types import GenerateRequest
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


async def test_a_defect_while_one_judge_is_asked_costs_its_opinion(trio: Trio, ask: Ask) -> None:
    def verdict(request: GenerateRequest) -> str:
        if request.request_id.endswith("-2-0"):
            raise ZeroDivisionError
        return "1"

    trio["c"].answer = verdict
    rank = {"id": "rank", "strategy": "rank", "proposers": ["a", "b"], "judge": {"model": "c", "temperature": 1}}
    done = await run(trio, ask(), rank)
    assert done.text in ("a says 0", "b says 0")
    assert done.report is not None
    assert done.report.degraded
    assert "'c' (judge, layer 2) failed." in done.report.reasons
    assert trio["c"].running == 0
