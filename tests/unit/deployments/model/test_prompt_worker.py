"""Threads of prompts: short work is done at once, long work apart, and none goes on for nobody."""

import asyncio
import threading

import pytest

from deployments.model.prompt_budget import PromptAbandoned, PromptBudget
from deployments.model.prompt_worker import LONG_CHARACTERS, SLOW_CHARACTERS, THREADS, PromptWorker, characters
from serving.conversation import Message, Tool, ToolCall
from tests.support.waiting import GUARD_S, until


async def test_short_work_has_no_thread() -> None:
    worker = PromptWorker(1)
    assert await worker.run(1, PromptBudget(), threading.get_ident) == threading.get_ident()
    assert await worker.run(LONG_CHARACTERS, PromptBudget(), threading.get_ident) != threading.get_ident()
    await until(lambda: worker.pending == 0)


async def test_errors_reach_the_caller() -> None:
    def fail() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await PromptWorker(1).run(LONG_CHARACTERS, PromptBudget(), fail)


async def test_abandoned_work_is_dropped_or_ends() -> None:
    worker, go = PromptWorker(1), threading.Event()
    first, done = PromptBudget(), []

    def running() -> None:
        go.wait(GUARD_S)
        first.check()
        done.append("first")

    async def ask(budget: PromptBudget, name: str) -> None:
        await worker.run(LONG_CHARACTERS, budget, running if name == "first" else lambda: done.append(name))

    asked = [
        asyncio.create_task(ask(first, "first")),
        *(asyncio.create_task(ask(PromptBudget(), "q")) for _ in range(9)),
    ]
    kept = asyncio.create_task(ask(PromptBudget(), "kept"))
    await asyncio.sleep(0)
    assert worker.pending == 11
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await until(lambda: worker.pending == 2)  # the one that runs, and the one for which somebody waits
    go.set()
    await kept
    await until(lambda: worker.pending == 0)
    assert done == ["kept"]
    with pytest.raises(PromptAbandoned):
        first.check()


async def test_other_work_does_not_wait_for_slow_prompts() -> None:
    worker, go = PromptWorker(), threading.Event()
    slow = [
        asyncio.create_task(worker.run(SLOW_CHARACTERS, PromptBudget(), lambda: go.wait(2 * GUARD_S), "flood"))
        for _ in range(6 * THREADS)
    ]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(GUARD_S):  # none of the others ends meanwhile
            assert await worker.run(LONG_CHARACTERS, PromptBudget(), lambda: "done", "neighbour") == "done"
        assert worker.pending >= len(slow)
        assert not any(task.done() for task in slow)
    finally:
        go.set()
    await asyncio.gather(*slow)
    await until(lambda: worker.pending == 0)


@pytest.mark.parametrize("size", [LONG_CHARACTERS, SLOW_CHARACTERS])
async def test_tenants_get_the_threads_in_turns(size: int) -> None:
    worker, order = PromptWorker(1), list[str]()
    names = ["flood"] * 5 + ["neighbour"] * 3 + ["third"]
    tasks = [
        asyncio.create_task(worker.run(size, PromptBudget(), lambda name=name: order.append(name), name))
        for name in names
    ]
    await asyncio.gather(*tasks)
    assert order == ["flood", "neighbour", "third", "flood", "neighbour", "flood", "neighbour", "flood", "flood"]


async def test_slow_prompts_that_are_abandoned_while_they_wait_leave_their_places() -> None:
    worker, go = PromptWorker(2), threading.Event()
    first = asyncio.create_task(worker.run(SLOW_CHARACTERS, PromptBudget(), lambda: go.wait(2 * GUARD_S)))
    gone = [asyncio.create_task(worker.run(SLOW_CHARACTERS, PromptBudget(), lambda: None)) for _ in range(9)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    assert worker.pending == 1
    go.set()
    await first
    await until(lambda: worker.pending == 0)
    assert (worker._slow.free, worker._threads.free) == (1, 2)


def test_everything_that_a_template_reads_is_counted() -> None:
    messages = (
        Message("user", "x" * 10, "n" * 3),
        Message("assistant", "", reasoning="r" * 20, tool_calls=(ToolCall("c", "f" * 4, "a" * 30),)),
    )
    assert characters(messages) == 67
    tools = (Tool("t", "d" * 100, {"type": "object", "properties": {"p" * 50: {"enum": ["e" * 200]}}}),)
    assert 67 + 100 + 50 + 200 < characters(messages, tools) < 67 + 100 + 50 + 200 + 60
    assert characters((), (), {"x": ["y" * 10**6, "z" * 10**6]}) >= LONG_CHARACTERS
