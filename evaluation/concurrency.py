"""A worker pool: many jobs, a limited number of them at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Job = TypeVar("Job")


async def run_all(jobs: Iterable[Job], work: Callable[[Job], Awaitable[None]], concurrency: int) -> None:
    """Call `work` for every job, in order, `concurrency` at a time; the first error cancels the rest."""
    waiting = iter(jobs)

    async def worker() -> None:
        for job in waiting:
            await work(job)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except* Exception as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
