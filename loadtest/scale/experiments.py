"""Experiments on a running server with scripted engines: held streams, capacity, and overhead idle and under load."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from loadtest.bench.client import Answer, ask
from loadtest.bench.measurement import critical_path
from loadtest.errors import LoadError
from loadtest.results.metrics import Distribution
from loadtest.scale.process_usage import Usage, UsageMonitor
from loadtest.target import TEAM
from loadtest.traffic.arrivals import poisson

Progress = Callable[[str], None]
PROMPT = [{"role": "user", "content": "hold this stream open and count what it costs"}]


def body(tokens: int, proposal_tokens: int, trace: bool) -> dict[str, Any]:
    """Build a streamed request with these maximum tokens in the answer and in each proposal."""
    return {
        "model": TEAM,
        "messages": PROMPT,
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        "moa": {"trace": trace, "proposal_max_tokens": proposal_tokens},
    }


@dataclass(frozen=True, slots=True)
class Held:
    """Result of `hold`."""

    streams: int
    most_open: int
    answered: int
    errors: dict[str, int]
    bytes_per_stream: float  # memory of the orchestrator, at the most open streams
    frames_per_s: float  # over all streams
    usage: Usage


async def hold(
    http: aiohttp.ClientSession, host: str, pid: int, streams: int, ramp_s: float, tokens: int, progress: Progress
) -> Held:
    """Open `streams` streams evenly over `ramp_s` seconds, and hold each until it has `tokens` tokens."""
    for _ in range(8):
        await ask(http, host, body(1, 1, trace=False))
    before = UsageMonitor(pid).usage()
    watch = UsageMonitor(pid)
    now_open, most_open = 0, 0
    answers: list[Answer] = []

    async def one(number: int) -> None:
        nonlocal now_open, most_open
        await asyncio.sleep(ramp_s * number / streams)
        now_open += 1
        most_open = max(most_open, now_open)
        answers.append(await ask(http, host, body(tokens, 1, trace=False)))
        now_open -= 1

    tasks = [asyncio.create_task(one(number)) for number in range(streams)]
    usage_at_peak: Usage | None = None
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.5)
        progress(f"{now_open} of {streams} streams open, {len(answers)} answered")
        if usage_at_peak is None and (now_open >= streams or len(answers) > streams // 100):
            usage_at_peak = await asyncio.to_thread(watch.usage)
    await asyncio.gather(*tasks)
    usage = usage_at_peak or watch.usage()
    errors = Counter(answer.exchange.error for answer in answers if answer.exchange.error is not None)
    grown = usage.memory_bytes.get("orchestrator", 0) - before.memory_bytes.get("orchestrator", 0)
    well = [answer.exchange for answer in answers if answer.exchange.error is None]
    frame_s = [len(exchange.gaps_s) / span_s for exchange in well if (span_s := sum(exchange.gaps_s))]
    return Held(streams, most_open, len(well), dict(errors), grown / max(most_open, 1), sum(frame_s), usage)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Result of `capacity`."""

    requests_per_s: float
    errors: int
    usage: Usage


async def capacity(
    http: aiohttp.ClientSession, host: str, pid: int, open_requests: int, seconds: float, tokens: int
) -> Capacity:
    """Measure requests/s in a closed loop with more open requests than the server can work on at once."""
    end = time.perf_counter() + seconds
    watch = UsageMonitor(pid)
    answers: list[Answer] = []

    async def worker() -> None:
        while time.perf_counter() < end:
            answers.append(await ask(http, host, body(tokens, tokens, trace=False)))

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(open_requests)))
    elapsed_s = time.perf_counter() - started
    failed = sum(answer.exchange.error is not None for answer in answers)
    return Capacity((len(answers) - failed) / elapsed_s, failed, watch.usage())


async def idle_overhead(http: aiohttp.ClientSession, host: str, questions: int, tokens: int) -> Distribution:
    """Measure the milliseconds per layer of an idle server: end to end minus the engines' own time.

    Raises:
        LoadError: a request failed.
    """
    extra = []
    for _ in range(questions):
        answer = await ask(http, host, body(tokens, tokens, trace=True))
        if answer.exchange.error is not None:
            raise LoadError(f"A question to the idle server failed: {answer.exchange.error}.")
        path = critical_path(answer)
        extra.append((path.e2e_ms - sum(path.layers_ms)) / len(path.layers_ms))
    found = Distribution.of(extra)
    assert found is not None  # there is at least one question
    return found


@dataclass(frozen=True, slots=True)
class Overhead:
    """Result of `overhead`: end to end minus the engines' own time on the critical path, both layers together."""

    rate_per_s: float
    errors: int
    overhead_ms: Distribution
    lag_ms: Distribution  # delay of the load generator itself
    usage: Usage


async def overhead(
    http: aiohttp.ClientSession, host: str, pid: int, rate_per_s: float, seconds: float, tokens: int
) -> Overhead:
    """Measure the overhead with Poisson arrivals.

    Raises:
        LoadError: no request was answered.
    """
    watch = UsageMonitor(pid)
    answers: list[Answer] = []
    lags: list[float] = []
    running: set[asyncio.Task[None]] = set()

    async def one() -> None:
        answers.append(await ask(http, host, body(tokens, tokens, trace=True)))

    started = time.perf_counter()
    for at_s in poisson(rate_per_s, seconds, random.Random(0)):
        if (wait_s := started + at_s - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        lags.append(max(time.perf_counter() - started - at_s, 0.0) * 1000)
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    paths = [critical_path(answer) for answer in answers if answer.exchange.error is None]
    extra = Distribution.of(path.e2e_ms - sum(path.layers_ms) for path in paths)
    late = Distribution.of(lags)
    if extra is None or late is None:
        raise LoadError(f"No request was answered at {rate_per_s:.1f} requests/s; see the server's log.")
    return Overhead(rate_per_s, len(answers) - len(paths), extra, late, watch.usage())
