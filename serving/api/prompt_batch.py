"""Several prompts of one request: their answers as one stream."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import reduce
from operator import add

from serving.engine import Engine, checked
from serving.errors import EngineFailed
from serving.types import Delta, GenerateRequest, Report
from serving.usage import TokenUsage

MAX_WAITING = 64  # deltas that are not read yet; beyond it, the engines' streams wait


async def merged(model: str, engine: Engine, requests: Sequence[GenerateRequest]) -> AsyncGenerator[Delta, None]:
    """The answers of `engine` to all `requests`, which run at the same time, as their deltas come.

    The choices of the first request come first by index, then those of the second, and so on. The terminal delta has
    the sum of the usages, as the usage so far is of all, and a report without agents whose reasons name the prompts.
    The first error ends all; closing the stream closes those of all requests.

    Raises:
        EngineFailed: a delta belongs to a choice that was not asked for.
        MoaError: as `engine` raises.
    """
    waiting: asyncio.Queue[tuple[int, Delta] | Exception | None] = asyncio.Queue(MAX_WAITING)
    choices = requests[0].sampling.n

    async def read(place: int, request: GenerateRequest) -> None:
        try:
            async with aclosing(checked(model, engine.generate(request))) as deltas:
                async for delta in deltas:
                    await waiting.put((place, delta))
        except Exception as error:
            await waiting.put(error)
        else:
            await waiting.put(None)

    ends: dict[int, Delta] = {}
    running: dict[int, TokenUsage] = {}
    tasks = [asyncio.create_task(read(place, request)) for place, request in enumerate(requests)]
    reading = len(tasks)
    try:
        while reading:
            item = await waiting.get()
            if item is None:
                reading -= 1
                continue
            if isinstance(item, Exception):
                raise item
            place, delta = item
            if not 0 <= delta.index < choices:
                why = f"it returned a choice with index {delta.index}, but was asked for {choices} choices"
                raise EngineFailed(model, why)
            if delta.terminal:
                ends[place] = delta
                delta = replace(delta, usage=None, timing=None, report=None)
            if requests[0].running_usage is not None:
                if (so_far := ends[place].usage if place in ends else delta.running_usage) is not None:
                    running[place] = so_far
                delta = replace(delta, running_usage=reduce(add, running.values()) if running else None)
            yield replace(delta, index=place * choices + delta.index)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    usages = [end.usage or TokenUsage() for end in ends.values()]
    yield Delta(usage=reduce(add, usages), report=_report(ends))


def _report(ends: Mapping[int, Delta]) -> Report | None:
    """Report of all prompts, from the terminal delta of each; None if there are none."""
    reports = {place: end.report for place, end in sorted(ends.items()) if end.report is not None}
    if not reports:
        return None
    reasons = [f"prompt[{place}]: {reason}" for place, report in reports.items() for reason in report.reasons]
    degraded = any(report.degraded for report in reports.values())
    team = reduce(add, (report.usage for report in reports.values()))
    answer = reduce(add, (report.answer_usage or report.usage for report in reports.values()))
    return Report(next(iter(reports.values())).recipe, degraded, tuple(reasons), (), team, answer)
