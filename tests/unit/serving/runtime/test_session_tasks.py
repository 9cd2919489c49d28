"""Tasks between two requests: one per session, bounded in number and time."""

import asyncio

import pytest

from serving.runtime.session_tasks import SessionTasks
from tests.support.clock import simulated_time


class Work:
    """Counts its starts and ends; it runs until `go`."""

    def __init__(self) -> None:
        self.started, self.ended = 0, 0
        self.go = asyncio.Event()

    async def __call__(self) -> None:
        self.started += 1
        try:
            await self.go.wait()
        finally:
            self.ended += 1


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_task_runs_until_it_is_done() -> None:
    tasks, work = SessionTasks(), Work()
    tasks.start("s", work, 10)
    await settle()
    assert (len(tasks), work.started, work.ended) == (1, 1, 0)
    work.go.set()
    await settle()
    assert (len(tasks), work.ended) == (0, 1)


async def test_the_sessions_next_request_ends_its_task_and_no_other() -> None:
    tasks, one, other = SessionTasks(), Work(), Work()
    tasks.start("one", one, 10)
    tasks.start("other", other, 10)
    await settle()
    tasks.cancel("one")
    tasks.cancel("unknown")
    await settle()
    assert (len(tasks), one.ended, other.ended) == (1, 1, 0)
    other.go.set()
    await settle()


async def test_a_new_task_takes_the_place_of_the_former() -> None:
    tasks, former, new = SessionTasks(), Work(), Work()
    tasks.start("s", former, 10)
    await settle()
    tasks.start("s", new, 10)
    await settle()
    assert (len(tasks), former.ended, new.started, new.ended) == (1, 1, 1, 0)
    tasks.cancel("s")
    await settle()
    assert len(tasks) == 0


async def test_no_more_tasks_start_than_are_allowed() -> None:
    tasks, works = SessionTasks(max_running=2), [Work(), Work(), Work()]
    for number, work in enumerate(works):
        tasks.start(str(number), work, 10)
    await settle()
    assert [work.started for work in works] == [1, 1, 0]
    tasks.cancel("0")
    tasks.start("2", works[2], 10)
    await settle()
    assert works[2].started == 1
    for number in range(3):
        tasks.cancel(str(number))
    await settle()


@simulated_time
async def test_a_task_ends_when_its_time_is_over() -> None:
    tasks, work = SessionTasks(), Work()
    tasks.start("s", work, 10)
    await asyncio.sleep(9)
    assert (len(tasks), work.ended) == (1, 0)
    await asyncio.sleep(2)
    assert (len(tasks), work.ended) == (0, 1)


async def test_a_defect_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ValueError("a defect")

    tasks = SessionTasks()
    tasks.start("s", broken, 10)
    await settle()
    assert len(tasks) == 0
    assert "a defect" in caplog.text


async def test_one_tenant_among_several_has_half_of_the_tasks() -> None:
    tasks, works = SessionTasks(max_running=4), [Work() for _ in range(5)]
    for number, work in enumerate(works[:3]):
        tasks.start(f"flood {number}", work, 10, "flood")
    tasks.start("neighbour", works[3], 10, "neighbour")
    await settle()
    assert [work.started for work in works[:4]] == [1, 1, 0, 1]
    works[0].go.set()
    await settle()
    tasks.start("flood 4", works[4], 10, "flood")
    await settle()
    assert works[4].started == 1
    for session in ("flood 1", "flood 4", "neighbour"):
        tasks.cancel(session)
    await settle()
    assert (len(tasks), tasks._scopes) == (0, {})
