"""CPU time of the HTTP API alone: `python -m loadtest.api_cost`, or `--against PATH` to compare two checkouts.

Measured in one process, in memory, without a socket, so that other load on the machine does not count. A trivial engine
streams `--tokens` deltas, and its own CPU time is subtracted. With `--against`, both checkouts are measured in turn, in
processes of their own; the exit code is 1 if this one takes over 5% more per delta or over 0.5 ms more per request.
"""

import asyncio
import cProfile
import json
import os
import pstats
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.cards import ModelCard
from serving.command_line import CommandLine, at_least
from serving.engine import Engine
from serving.types import Delta, GenerateRequest
from serving.usage import TokenUsage

ROOT = Path(__file__).parents[1]
REPETITIONS = 20  # the fastest counts: the others include noise
REQUESTS = 100  # per repetition
MOST_RATIO, MOST_MORE_MS = 1.05, 0.5


class TrivialEngine(Engine):
    """Engine that streams `tokens` equal deltas. `paced`: yields to the event loop after each, as a remote engine."""

    def __init__(self, tokens: int, paced: bool) -> None:
        self.tokens, self.paced = tokens, paced

    async def check_health(self) -> None:
        """Always healthy."""

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the deltas."""
        for _ in range(self.tokens):
            if self.paced:
                await asyncio.sleep(0)
            yield Delta(" token")
        yield Delta(finish_reason="stop", usage=TokenUsage(1, self.tokens, 0))


def app_of(engine: Engine) -> ASGIApp:
    """The API over one engine."""
    return create_app({"m": engine}, [ModelCard("m", "model")], ApiSettings())


async def call(app: ASGIApp, stream: bool, *headers: tuple[bytes, bytes], model: str = "m") -> None:
    """Send one request in memory."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}], "stream": stream}).encode()
    waiting = [{"type": "http.request", "body": body}]

    async def receive() -> Any:
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        pass

    given = [(b"content-type", b"application/json"), *headers]
    path = "/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": given}
    await app({**scope, "query_string": b"", "root_path": "", "http_version": "1.1"}, receive, send)


async def cpu_s(*works: Callable[[], Awaitable[object]]) -> list[float]:
    """Measure the least CPU time of several runs of each of `works`, in turn, in seconds."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(REPETITIONS):
        for measured, work in zip(times, works, strict=True):
            began = time.process_time()
            await work()
            measured.append(time.process_time() - began)
    return [min(measured) for measured in times]


async def measure(tokens: int) -> dict[str, float]:
    """Measure microseconds per delta and milliseconds per request."""
    costs: dict[str, float] = {}
    for paced in (True, False):
        engine = TrivialEngine(tokens, paced)

        async def alone(engine: TrivialEngine = engine) -> None:
            async for _ in engine.generate(GenerateRequest("r", ())):
                pass

        app = app_of(engine)
        base_s, *times = await cpu_s(alone, partial(call, app, True), partial(call, app, False))
        for stream, total_s in zip((True, False), times, strict=True):
            cost_s = total_s - base_s
            name = f"us per delta, {'one by one' if paced else 'in a burst'}, {'streamed' if stream else 'whole'}"
            costs[name] = cost_s / tokens * 1e6
    app = app_of(TrivialEngine(1, False))
    for stream in (True, False):

        async def many(stream: bool = stream) -> None:
            for _ in range(REQUESTS):
                await call(app, stream)

        costs[f"ms per request, {'streamed' if stream else 'whole'}"] = (await cpu_s(many))[0] / REQUESTS * 1e3
    return costs


def measure_checkout(root: Path, tokens: int) -> dict[str, float]:
    """Measure the checkout at `root` in a process of its own, by this file."""
    # -P: this file's folder is not searched for modules, `root` is.
    command = [sys.executable, "-P", __file__, "--json", "--tokens", str(tokens)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run(command, env=environment, cwd=root, check=True, capture_output=True, text=True)
    costs: dict[str, float] = json.loads(run.stdout)
    return costs


def compare(other: Path, tokens: int, rounds: int) -> int:
    """Print the costs of this checkout beside those of `other`; return the exit code."""
    measured: dict[Path, list[dict[str, float]]] = {ROOT: [], other: []}
    for _ in range(rounds):
        for root, results in measured.items():
            results.append(measure_checkout(root, tokens))
    print(f"{'':<40}{'other':>10}{'this':>10}{'ratio':>8}")
    worse = False
    for name in measured[ROOT][0]:
        before, after = (median(result[name] for result in measured[root]) for root in (other, ROOT))
        print(f"{name:<40}{before:>10.3f}{after:>10.3f}{after / before:>8.2f}")
        worse |= after - before > MOST_MORE_MS if name.startswith("ms") else _slower(name, after / before)
    allowed = f"{MOST_RATIO - 1:.0%} per delta and {MOST_MORE_MS} ms per request"
    print(f"slower than allowed: {allowed}" if worse else f"within {allowed}")
    return 1 if worse else 0


def _slower(name: str, ratio: float) -> bool:
    # Other ways cost a fraction of this one; there, 5% is less than the noise.
    return "one by one, streamed" in name and ratio > MOST_RATIO


async def profile(tokens: int) -> None:
    """Print the functions with the most CPU time in a paced stream."""
    app = app_of(TrivialEngine(tokens, True))
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(REPETITIONS):
        await call(app, True)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(15)


def main() -> int:
    """Run the command."""
    parser = CommandLine(prog="python -m loadtest.api_cost", description=__doc__)
    parser.add_argument(
        "--tokens", type=at_least(1, int, 1_000_000), default=2000, help="deltas per request; default: 2000"
    )
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout to compare with")
    parser.add_argument(
        "--rounds", type=at_least(1, int, 1000), default=5, help="with --against: measurements of each; default: 5"
    )
    parser.add_argument("--json", action="store_true", help="print the costs as JSON")
    parser.add_argument("--profile", action="store_true", help="print a CPU profile of a paced stream instead")
    given = parser.parse_args()
    if given.against is not None:
        return compare(given.against.resolve(), given.tokens, given.rounds)
    if given.profile:
        asyncio.run(profile(given.tokens))
        return 0
    costs = asyncio.run(measure(given.tokens))
    if given.json:
        print(json.dumps(costs))
        return 0
    for name, cost in costs.items():
        rate = f"{1e6 / cost:>12,.0f} tokens/s" if name.startswith("us") else f"{1e3 / cost:>12,.0f} requests/s"
        print(f"{name:<40}{cost:>10.3f}{rate}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
