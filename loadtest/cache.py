"""Load with the response cache: `python -m loadtest.cache`, rate and latency beside those without it.

Requests go to the HTTP API in memory, over one scripted model, with answers kept in a SQLite file. A share of them
(`--hits`) asks what has been asked before. Rounds with the cache and without it alternate, on the same machine and in
the same minute, so that the ratios say more than the absolute numbers. The exit code is 1 if the share of hits is
another one than asked for.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from starlette.types import ASGIApp

from loadtest.torture.stage import chat, post
from serving.api import ApiSettings, create_app
from serving.cards import ModelCard
from serving.command_line import CommandLine, at_least
from serving.engines.scripted import ScriptedEngine
from serving.store.settings import StoreSettings
from serving.store.store import Store

PATH = "/v1/chat/completions"
TTL_S = 3600
ALLOWED_DIFFERENCE = 0.02  # between the share of hits that is asked for and the one that is measured


@dataclass(frozen=True, slots=True)
class Load:
    """Load of one round."""

    requests: int
    concurrency: int
    hits: float  # share of requests that ask what has been asked before


@dataclass(frozen=True, slots=True)
class Round:
    """Measured values of one round."""

    per_s: float
    p50_s: float
    p95_s: float
    hits: float  # share of answers from the cache
    hit_p50_s: float | None  # of answers from the cache
    miss_p50_s: float | None


def questions(load: Load, seed: int) -> list[str]:
    """Questions of a round: a share of them is asked twice, the second time when the first answer is there."""
    repeats = round(load.requests * load.hits)
    fresh = [f"question {seed} {number}" for number in range(load.requests - repeats)]
    random_order = random.Random(seed)
    order: list[str] = []
    places: list[int] = []  # of each fresh question in the order
    again = 0  # fresh questions that have been asked twice, the first ones
    while len(order) < load.requests:
        answered = again < min(repeats, len(places)) and places[again] < len(order) - 2 * load.concurrency
        if len(places) == len(fresh) or (answered and random_order.random() < load.hits):
            order.append(fresh[again])
            again += 1
        else:
            places.append(len(order))
            order.append(fresh[len(places) - 1])
    return order


async def measured(app: ASGIApp, load: Load, asked: list[str], cached: bool) -> Round:
    """Ask all questions, `concurrency` at a time."""
    waiting = deque(asked)
    times: dict[bool, list[float]] = {True: [], False: []}
    moa = {"moa": {"cache": {"ttl_s": TTL_S}}} if cached else {}

    async def worker() -> None:
        while waiting:
            body = json.dumps(chat("m", waiting.popleft(), **moa)).encode()
            began = time.perf_counter()
            status, answer = await post(app, PATH, body)
            assert status == 200, answer
            times[b'"cached":true' in answer].append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(load.concurrency)))
    took_s = time.perf_counter() - began
    every = [*times[True], *times[False]]
    return Round(
        per_s=len(every) / took_s,
        p50_s=median(every),
        p95_s=quantiles(every, n=20)[-1],
        hits=len(times[True]) / len(every),
        hit_p50_s=median(times[True]) if times[True] else None,
        miss_p50_s=median(times[False]) if times[False] else None,
    )


async def rounds(load: Load, count: int, tokens: int, ttft_s: float, itl_s: float) -> tuple[list[Round], list[Round]]:
    """Measure `count` rounds with the cache and as many without it, in turn."""
    engine = ScriptedEngine(
        "m", " ".join(["word"] * tokens), ttft_s, itl_s, requests=deque(maxlen=0), prefills=deque(maxlen=0)
    )
    found: tuple[list[Round], list[Round]] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        store = Store(StoreSettings(path=str(Path(folder) / "store.sqlite"), timeout_s=30), environment={})
        settings = ApiSettings(max_in_flight=load.concurrency + 1)
        app = create_app({"m": engine}, [ModelCard("m", "model")], settings, store=store)
        async with app.router.lifespan_context(app):
            for number in range(count):
                asked = questions(load, number)
                for results, cached in zip(found, (True, False), strict=True):
                    results.append(await measured(app, load, asked, cached))
    return found


def table(on: list[Round], off: list[Round]) -> str:
    """Medians over the rounds, and the medians of the ratios of rounds that belong together."""
    lines = [f"{'':<24}{'off':>10}{'on':>10}{'ratio':>8}"]
    for label, name, factor in (("requests/s", "per_s", 1), ("p50, ms", "p50_s", 1000), ("p95, ms", "p95_s", 1000)):
        before, after = ([factor * getattr(one, name) for one in side] for side in (off, on))
        ratio = median(new / old for new, old in zip(after, before, strict=True))
        lines.append(f"{label:<24}{median(before):>10.1f}{median(after):>10.1f}{ratio:>8.2f}")
    for label, name in (("p50 of hits, ms", "hit_p50_s"), ("p50 of misses, ms", "miss_p50_s")):
        found = [getattr(one, name) * 1000 for one in on if getattr(one, name) is not None]
        lines.append(f"{label:<24}{'':>10}{median(found) if found else float('nan'):>10.1f}")
    lines.append(f"{'hits':<24}{'':>10}{median(one.hits for one in on):>10.0%}")
    return "\n".join(lines)


def main() -> int:
    """Run the command."""
    parser = CommandLine(prog="python -m loadtest.cache", description=__doc__)
    add = parser.add_argument
    add("--requests", type=at_least(20, int, 100_000), default=400, help="requests of a round; default: 400")
    add("--concurrency", type=at_least(1, int, 1000), default=16, help="requests at a time; default: 16")
    add("--hits", type=at_least(0, float, 0.5), default=0.5, help="share of repeated questions; default: 0.5")
    add("--rounds", type=at_least(1, int, 100), default=5, help="rounds of each kind; default: 5")
    add("--tokens", type=at_least(1, int, 10_000), default=64, help="length of the answers in tokens; default: 64")
    add("--ttft-s", type=at_least(0), default=0.05, help="seconds to the model's first token; default: 0.05")
    add("--itl-s", type=at_least(0), default=0.005, help="seconds between its tokens; default: 0.005")
    given = parser.parse_args()
    load = Load(given.requests, given.concurrency, given.hits)
    on, off = asyncio.run(rounds(load, given.rounds, given.tokens, given.ttft_s, given.itl_s))
    print(table(on, off))
    return 0 if abs(median(one.hits for one in on) - given.hits) <= ALLOWED_DIFFERENCE else 1


if __name__ == "__main__":
    sys.exit(main())
