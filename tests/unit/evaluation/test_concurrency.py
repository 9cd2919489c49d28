"""The worker pool: every job once, a limit on concurrency, and errors."""

import asyncio

import pytest

from evaluation.concurrency import run_all


async def test_every_job_is_done_once_within_the_limit() -> None:
    done: list[int] = []
    running, highest = 0, 0

    async def work(job: int) -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(job)

    await run_all(range(10), work, 3)
    assert sorted(done) == list(range(10))
    assert highest == 3


async def test_the_first_error_is_raised_as_it_is_and_cancels_the_other_jobs() -> None:
    started: list[int] = []

    async def work(job: int) -> None:
        started.append(job)
        if job == 1:
            raise ValueError("job 1 failed")
        await asyncio.Event().wait()

    with pytest.raises(ValueError, match="job 1 failed"):
        await run_all(range(10), work, 2)
    assert started == [0, 1]
