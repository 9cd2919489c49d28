"""A trace for single models: one layer of one agent, in the shape that recipes report."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from serving.engine import closing
from serving.types import AgentTrace, Delta, Report, Timing


async def traced(model: str, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """`stream`, with a report of the model's own text (the first choice's), usage and timing on its terminal delta."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    pieces: list[str] = []
    async with closing(stream) as deltas:
        async for delta in deltas:
            if delta.index == 0:
                pieces.append(delta.text)
            if delta.usage is not None and delta.report is None:
                agent = AgentTrace(
                    layer=1,
                    agent=0,
                    role="model",
                    model=model,
                    outcome="ok",
                    text="".join(pieces),
                    usage=delta.usage,
                    elapsed_s=loop.time() - began,
                    timing=delta.timing or Timing(),
                )
                delta = replace(delta, report=Report(model, False, (), (agent,)))
            yield delta
