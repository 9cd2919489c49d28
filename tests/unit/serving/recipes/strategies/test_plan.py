"""Plan: reading of plans, dependent parts, parts that fail."""

import json
from typing import Any

import pytest

from serving.errors import InvalidRequest, QuorumNotReached
from serving.recipes.strategies.plan import parse_plan
from tests.support.recipes import Ask, Trio, fails_when, outcomes, reasons, run, shown


async def test_plan_runs_independent_parts_and_feeds_dependent_ones(trio: Trio, ask: Ask) -> None:
    plan = [{"task": "find x"}, {"task": "find y"}, {"task": "add", "after": [1, 2]}]
    trio["c"].answer = lambda request: json.dumps(plan) if "JSON list" in str(request.messages) else "c did it"
    done = await run(trio, ask(), "plan")
    executors = [entry for entry in outcomes(done) if entry[1] == "executor"]
    assert len(executors) == 3
    adding = next(r for engine in trio.values() for r in engine.requests if "only this part: add" in str(r.messages))
    assert str(adding.messages).count("Already done") == 2
    final = trio["a"].requests[-1].messages[0].content
    assert [final.index(part) for part in ("1. find x", "2. find y", "3. add")] == sorted(
        final.index(part) for part in ("1. find x", "2. find y", "3. add")
    )


async def test_a_plan_that_cannot_be_read_is_the_whole_task(trio: Trio, ask: Ask) -> None:
    assert (await run(trio, ask(), "plan")).text == "a says 3"


def test_plans_are_read_from_what_models_write() -> None:
    parts = parse_plan('Sure!\n[{"task": "a", "after": [1, 5]}, "b", {"task": "c", "after": [2, 3]}, {"x": 1}]')
    assert [(part.task, part.after) for part in parts] == [("a", ()), ("b", ()), ("c", (1,))]
    assert parse_plan("no list") == parse_plan("[broken") == parse_plan('[{"task": ]') == ()


def planning(trio: Trio, *tasks: Any) -> None:
    trio["c"].answer = lambda request: json.dumps(tasks) if "JSON list" in str(request.messages) else "c did it"


async def test_a_part_that_an_executor_cannot_do_goes_to_the_next(trio: Trio, ask: Ask) -> None:
    planning(trio, "find x", "find y")
    fails_when(trio["a"], shown="only this part: find x")
    done = await run(trio, ask(), "plan")
    assert "1. find x: b says 0\n2. find y: b says 0" in shown(trio["a"])
    assert "'a' (executor, layer 2) failed." in reasons(done)


async def test_a_part_that_nobody_can_do_is_left_out(trio: Trio, ask: Ask) -> None:
    planning(trio, "find x", "find y", {"task": "add", "after": [1, 2]})
    for engine in trio.values():
        fails_when(engine, shown="only this part: find x")
    done = await run(trio, ask(), {"preset": "plan", "min_proposals": 2})
    assert "find x" not in shown(trio["a"])
    assert "Part 1 of the plan failed on every executor" in reasons(done)
    with pytest.raises(QuorumNotReached, match=r"2 usable proposals of 3 needed: .*gone"):
        await run(trio, ask(), {"preset": "plan", "min_proposals": 3})


async def test_a_plan_of_which_nothing_can_be_done_is_an_error_of_its_kind(trio: Trio, ask: Ask) -> None:
    planning(trio, "find x")
    for engine in trio.values():
        fails_when(engine, shown="only this part", error=InvalidRequest("no such thing"))
    with pytest.raises(InvalidRequest, match="no such thing"):
        await run(trio, ask(), "plan")


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, f"[{'9' * 5000}]", "[" * 200_000, "]["])
def test_no_plan_breaks_its_reader(text: str) -> None:
    assert parse_plan(text) == ()
