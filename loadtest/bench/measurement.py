"""Measurement of one round of a row with one contender: a closed loop of questions."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import numpy as np

from loadtest.bench.client import Answer, ask, chat_body, check
from loadtest.bench.client_side_moa import ClientSideAnswer, ClientSideMoa
from loadtest.bench.rows import PROMPT_TOKENS, RECIPES, Row
from loadtest.errors import LoadError
from loadtest.results.exchange_builder import agents
from loadtest.results.metrics import tpot_ms
from loadtest.traffic.prompts import TokenEstimator

T = TypeVar("T")
Progress = Callable[[int], None]
Measured = dict[str, float]
WARM_UP = 4  # questions of the same kind before the first round, not counted
WARM_UP_AGAIN = 1  # before a later round: connections may have been closed meanwhile


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions of a round by number, the same for every contender. Their first tokens differ: no prefix is cached.

    A different `salt` changes the first token, for another pass over the same questions on one running server.
    """

    tokens: TokenEstimator
    round: str
    salt: str = ""

    def __getitem__(self, number: int) -> str:
        start = random.Random(f"{self.round}-{number}-{self.salt}").randrange(1_000_000)
        rest = self.tokens.text(PROMPT_TOKENS - 4, random.Random(f"{self.round}-{number}"))
        return f"{start} {rest}"


async def closed_loop(
    streams: int, total: int, one: Callable[[int], Awaitable[T]], progress: Progress
) -> tuple[list[T], float]:
    """Await `one(0)` to `one(total - 1)`, `streams` at a time; return the results in order and the seconds taken."""
    numbers = iter(range(total))
    results: dict[int, T] = {}

    async def worker() -> None:
        for number in numbers:
            results[number] = await one(number)
            progress(len(results))

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(min(streams, total))))
    elapsed_s = time.perf_counter() - started
    return [results[number] for number in range(total)], elapsed_s


async def measure_pass(
    http: aiohttp.ClientSession,
    host: str,
    model: str,
    row: Row,
    questions: Questions,
    progress: Progress,
    warm_up: int = WARM_UP,
) -> Measured:
    """Measure a round of single-model requests after `warm_up` requests that do not count."""

    async def one(number: int) -> Answer:
        messages = [{"role": "user", "content": questions[number]}]
        answer = await ask(http, host, chat_body(model, messages, row.tokens, stream=True))
        check(answer, row.tokens)
        return answer

    await closed_loop(row.streams, warm_up, lambda number: one(-1 - number), _ignore)
    answers, elapsed_s = await closed_loop(row.streams, row.requests, one, progress)
    exchanges = [answer.exchange for answer in answers]
    return {
        "ttft_ms": p50([e.first_answer_s * 1000 for e in exchanges if e.first_answer_s is not None]),
        "tpot_ms": p50([value for e in exchanges if (value := tpot_ms(e)) is not None]),
        "tokens_per_s": row.requests * row.tokens / elapsed_s,
        "requests_per_s": row.requests / elapsed_s,
    }


async def measure_client_side(
    team: ClientSideMoa, row: Row, questions: Questions, progress: Progress, warm_up: int = WARM_UP
) -> Measured:
    """Measure a round of client-side MoA after `warm_up` answers that do not count."""

    async def one(number: int) -> ClientSideAnswer:
        return await team.answer(questions[number], row.tokens)

    await closed_loop(row.streams, warm_up, lambda number: team.answer(questions[-1 - number], 16), _ignore)
    answers, elapsed_s = await closed_loop(row.streams, row.requests, one, progress)
    return {
        "e2e_ms": p50([answer.total_s * 1000 for answer in answers]),
        "ttft_ms": p50([answer.first_answer_s * 1000 for answer in answers]),
        "after_proposals_ms": p50([answer.after_proposals_s * 1000 for answer in answers]),
        "requests_per_s": row.requests / elapsed_s,
    }


async def measure_recipe(
    http: aiohttp.ClientSession,
    host: str,
    options: Mapping[str, Any],
    row: Row,
    questions: Questions,
    progress: Progress,
    warm_up: int = WARM_UP,
) -> Measured:
    """Measure a round of the row's recipe on this server, as `measure_pass`; `options` are its `moa` options."""

    async def one(number: int, tokens: int = row.tokens) -> Answer:
        messages = [{"role": "user", "content": questions[number]}]
        body = chat_body(RECIPES[row.kind], messages, tokens, stream=True, moa={"trace": True, **options})
        answer = await ask(http, host, body)
        check(answer, tokens)
        return answer

    await closed_loop(row.streams, warm_up, lambda number: one(-1 - number, 16), _ignore)
    answers, elapsed_s = await closed_loop(row.streams, row.requests, one, progress)
    exchanges = [answer.exchange for answer in answers]
    measured = {
        "e2e_ms": p50([e.total_s * 1000 for e in exchanges]),
        "ttft_ms": p50([e.first_answer_s * 1000 for e in exchanges if e.first_answer_s is not None]),
        "requests_per_s": row.requests / elapsed_s,
    }
    if row.kind == "team":  # layers of other recipes overlap
        paths = [critical_path(answer) for answer in answers]
        measured["after_proposals_ms"] = p50([path.first_ms - path.proposals_end_ms for path in paths])
        measured["overhead_ms"] = p50([(path.e2e_ms - sum(path.layers_ms)) / len(path.layers_ms) for path in paths])
        measured["critical_path"] = p50([path.e2e_ms / sum(path.layers_ms) for path in paths])
    return measured


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """Critical path of one recipe answer, in milliseconds from the question."""

    e2e_ms: float
    first_ms: float
    proposals_end_ms: float
    layers_ms: tuple[float, ...]  # slowest agent of each layer, measured by its engine


def critical_path(answer: Answer) -> CriticalPath:
    """Read the critical path from the trace: layer times from the engines, ends of proposals from the orchestrator.

    Raises:
        LoadError: the trace has no engine time, or fewer than two layers.
    """
    exchange = answer.exchange
    slowest: dict[int, float] = {}
    ends: dict[int, float] = {}
    for agent in agents(answer.moa):
        if agent["total_ms"] is None or agent["elapsed_ms"] is None:
            raise LoadError(f"The trace has no engine time for '{agent['model']}'; the benchmark needs it.")
        layer = agent["layer"]
        slowest[layer] = max(slowest.get(layer, 0.0), agent["total_ms"])
        ends[layer] = max(ends.get(layer, 0.0), agent["started_ms"] + agent["elapsed_ms"])
    layers = sorted(slowest)
    if len(layers) < 2 or exchange.first_answer_s is None:
        raise LoadError(f"The trace of '{exchange.model}' shows {len(layers)} layers; the benchmark needs two or more.")
    return CriticalPath(
        e2e_ms=exchange.total_s * 1000,
        first_ms=exchange.first_answer_s * 1000,
        proposals_end_ms=ends[layers[-2]],
        layers_ms=tuple(slowest[layer] for layer in layers),
    )


def p50(values: Sequence[float]) -> float:
    """Median."""
    return float(np.median(values))


def _ignore(done: int) -> None:
    """Show no progress: for warm-ups."""
