"""Hang-up matrix: callers who close the connection in each phase of a team's answer, streamed or whole."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from loadtest.bench.processes import HOST
from loadtest.torture.effort import Effort
from loadtest.torture.row import Row, quantile, quantiles
from loadtest.torture.stage import TEAM, TRIO, app_of, chat, listening, orchestrate, trio
from serving.engines.scripted import ScriptedEngine
from serving.types import Delta, GenerateRequest

WITHIN_S = 1.0
GIVE_UP_S = 60.0  # a phase that is not reached, or work that does not end


@dataclass
class Phase:
    """A phase of an answer: `reached` is set once when the engines are in it, and they stay there.

    `proposing` and `aggregating` replace the streams of proposers and of the aggregator.
    """

    name: str
    proposing: "Hold | None" = None
    aggregating: "Hold | None" = None
    ttft_s: float = 0.0
    reached: asyncio.Event = field(default_factory=asyncio.Event)


Hold = Callable[[Phase, AsyncGenerator[Delta, None]], AsyncGenerator[Delta, None]]


async def _before(phase: Phase, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """Hold the stream before its first token, as a full engine's queue does."""
    async with aclosing(stream):
        phase.reached.set()
        await asyncio.Event().wait()
        async for delta in stream:
            yield delta


async def _computing(phase: Phase, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """Let the engine compute its prompt, which takes `phase.ttft_s`."""
    async with aclosing(stream):
        phase.reached.set()
        async for delta in stream:
            yield delta


async def _within(phase: Phase, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """Hold the stream behind its first token."""
    async with aclosing(stream):
        async for delta in stream:
            yield delta
            phase.reached.set()
            await asyncio.Event().wait()


def phases() -> list[Phase]:
    """The five phases, in the order in which an answer passes them."""
    return [
        Phase("queued", proposing=_before),
        Phase("prefill", proposing=_computing, ttft_s=60.0),
        Phase("proposers", proposing=_within),
        Phase("aggregator before its first token", aggregating=_before),
        Phase("aggregator streaming", aggregating=_within),
    ]


def engines(phase: Phase) -> Mapping[str, ScriptedEngine]:
    """The trio, held in `phase`."""

    def intercept(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        final = request.request_id.split("-")[1:2] != ["1"]
        hold = phase.aggregating if final else phase.proposing
        return stream if hold is None else hold(phase, stream)

    return trio(intercept=intercept, ttft_s=phase.ttft_s, answer="one two three")


async def hang_up(port: int, body: Mapping[str, Any], phase: Phase, models: Mapping[str, ScriptedEngine]) -> float:
    """Ask, wait for the phase, close the connection; seconds until no engine has work, at most `GIVE_UP_S`."""
    loop = asyncio.get_running_loop()
    phase.reached.clear()
    _, writer = await asyncio.open_connection(HOST, port)
    raw = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw)
    async with asyncio.timeout(GIVE_UP_S):
        await phase.reached.wait()
    writer.close()
    began = loop.time()
    while any(model.running for model in models.values()):
        if loop.time() - began > GIVE_UP_S:
            return GIVE_UP_S
        await asyncio.sleep(0.001)
    return loop.time() - began


async def measure(effort: Effort) -> list[Row]:
    """Measure one row per phase and way of answering."""
    count = effort.count(100, 5)
    rows = []
    for phase in phases():
        models = engines(phase)
        async with listening(app_of(orchestrate(models))) as port:
            for stream in (True, False):
                way = "streamed" if stream else "whole"
                effort.say(f"{phase.name}, {way}")
                body = chat(TEAM, stream=stream)
                ended_s = [await hang_up(port, body, phase, models) for _ in range(count)]
                rows.append(
                    Row(
                        f"A caller who hangs up ends all work of {len(TRIO)} engines: {phase.name}, {way}",
                        f"{sum(s <= WITHIN_S for s in ended_s)} of {count} within 1 s; {quantiles(ended_s)}",
                        "all within 1 s",
                        quantile(ended_s, 1) <= WITHIN_S,
                    )
                )
    return rows
