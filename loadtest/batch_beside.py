"""Latency of interactive requests beside a batch: `python -m loadtest.batch_beside http://127.0.0.1:8000`.

A few users ask a running server without a pause. In turns a batch runs beside them, or none does, on the same machine
and in the same minutes, so that the ratios say more than the absolute numbers. Prints percentiles of the time to the
first token and to the whole answer, their ratios, and for each ratio an interval of 95% (bootstrap over the turns). The
API key is read from LOADTEST_API_KEY. The exit code is 2 if the server or a request failed.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import httpx

from loadtest.errors import LoadError
from loadtest.server_client import ask_server
from loadtest.traffic.prompts import words
from serving.command_line import CommandLine, at_least

PATH = "/v1/chat/completions"
POLL_S = 0.5
SETTLE_S = 5.0  # after a batch has begun or ended: the worker adapts to the load, and its last lines end
FIRST_LINE_S = 120.0  # wait for the first line of a batch
SAMPLES = 2000  # of the bootstrap
RUNNING = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests of users and lines of batches, which are equal but for their words.

    Attributes:
        model: a model or recipe.
        users: requests in progress.
        words: of each prompt.
        max_tokens: of each answer.
        lines: of one batch; more than one turn can answer.
        turns: of each kind.
        turn_s: measured time of one turn.
    """

    model: str
    users: int
    words: int
    max_tokens: int
    lines: int
    turns: int
    turn_s: float

    def body(self, rng: random.Random) -> dict[str, Any]:
        """One request."""
        message = {"role": "user", "content": words(self.words, rng)}
        return {"model": self.model, "messages": [message], "max_tokens": self.max_tokens, "ignore_eos": True}

    def file(self, rng: random.Random) -> bytes:
        """The input file of a batch."""
        rows = (
            {"custom_id": str(number), "method": "POST", "url": PATH, "body": self.body(rng)}
            for number in range(self.lines)
        )
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@dataclass(frozen=True, slots=True)
class Asked:
    """Times of one request."""

    at: float
    first_s: float
    whole_s: float


@dataclass(frozen=True, slots=True)
class Turn:
    """Requests that began in one turn, and the lines of its batch that had a result by its end.

    Attributes:
        asked: requests of the users.
        lines: of the batch, from its start.
        batch_s: seconds since then; 0 without a batch.
    """

    asked: Sequence[Asked]
    lines: int = 0
    batch_s: float = 0.0


@dataclass(slots=True)
class Users:
    """Users that ask without a pause until they are cancelled."""

    client: httpx.AsyncClient
    plan: Plan
    asked: list[Asked] = field(default_factory=list)
    begun: dict[int, float] = field(default_factory=dict)  # time at which each user's request in progress began

    async def ask_always(self, number: int) -> None:
        rng = random.Random(number)
        while True:
            self.begun[number] = time.perf_counter()
            self.asked.append(await self._ask({**self.plan.body(rng), "stream": True}))

    async def _ask(self, body: dict[str, Any]) -> Asked:
        began = time.perf_counter()
        first_s: float | None = None
        async with self.client.stream("POST", PATH, json=body) as response:
            if response.status_code != 200:
                said = (await response.aread()).decode(errors="replace")[:200]
                raise LoadError(f"A request was answered with {response.status_code}: {said}")
            async for line in response.aiter_lines():
                if first_s is None and '"content":"' in line and '"content":""' not in line:
                    first_s = time.perf_counter() - began
        whole_s = time.perf_counter() - began
        return Asked(began, whole_s if first_s is None else first_s, whole_s)


async def measured(client: httpx.AsyncClient, plan: Plan, say: Callable[[str], None]) -> tuple[list[Turn], list[Turn]]:
    """Turns without and with a batch; those at the same place in both lists are neighbours.

    Raises:
        LoadError: the server cannot be measured.
    """
    uploaded = await _answer(
        client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("r.jsonl", plan.file(random.Random()))})
    )
    users = Users(client, plan)
    turns: tuple[list[Turn], list[Turn]] = ([], [])
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(users.ask_always(number)) for number in range(plan.users)]
            for number in range(plan.turns):
                for beside in (False, True) if number % 2 == 0 else (True, False):
                    turn = await _turn(client, plan, users, uploaded["id"] if beside else None)
                    turns[beside].append(turn)
                    say(f"turn {number + 1} {'with' if beside else 'without'} a batch: {len(turn.asked)} answers")
            for task in tasks:
                task.cancel()
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    await _answer(client.delete(f"/v1/files/{uploaded['id']}"))
    return turns


async def _turn(client: httpx.AsyncClient, plan: Plan, users: Users, file_id: str | None) -> Turn:
    if file_id is None:
        return Turn(await _window(plan, users))
    async with _batch(client, file_id) as batch_id:
        began = time.perf_counter()

        async def has_a_line() -> bool:
            if time.perf_counter() - began > FIRST_LINE_S:
                raise LoadError(
                    f"The batch had no answered line for {FIRST_LINE_S:g} s; see `moa.waiting` of the batch."
                )
            return await _completed(client, batch_id) > 0

        await _until(has_a_line)
        asked = await _window(plan, users)
        lines = await _completed(client, batch_id)
        return Turn(asked, lines, time.perf_counter() - began)


async def _window(plan: Plan, users: Users) -> list[Asked]:
    await asyncio.sleep(SETTLE_S)
    begins = time.perf_counter()
    await asyncio.sleep(plan.turn_s)
    ends = time.perf_counter()

    async def whole() -> bool:
        """True if all that began in the turn have ended."""
        return min(users.begun.values()) >= ends

    await _until(whole)
    return [one for one in users.asked if begins <= one.at < ends]


@asynccontextmanager
async def _batch(client: httpx.AsyncClient, file_id: str) -> AsyncIterator[str]:
    """A batch that runs during the block."""
    asked = {"input_file_id": file_id, "endpoint": PATH, "completion_window": "24h"}
    batch = await _answer(client.post("/v1/batches", json=asked))
    path = f"/v1/batches/{batch['id']}"
    try:
        await _until(lambda: _is_past(client, path, {"validating"}))
        batch = await _answer(client.get(path))
        if batch["status"] == "failed":
            raise LoadError(f"The server refused the batch: {batch['errors']}")
        yield batch["id"]
        if not await _is_past(client, path, {"completed"}):
            raise LoadError("The batch ended before its turn; give more --lines.")
    finally:
        await client.post(f"{path}/cancel")
        await _until(lambda: _is_past(client, path, RUNNING))


async def _until(met: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await met():
            return
        await asyncio.sleep(POLL_S)


async def _is_past(client: httpx.AsyncClient, path: str, statuses: Collection[str]) -> bool:
    return (await _answer(client.get(path)))["status"] not in statuses


async def _completed(client: httpx.AsyncClient, batch_id: str) -> int:
    return int((await _answer(client.get(f"/v1/batches/{batch_id}")))["request_counts"]["completed"])


async def _answer(request: Any) -> dict[str, Any]:
    response: httpx.Response = await request
    if not response.is_success:
        raise LoadError(f"{response.request.url.path} was answered with {response.status_code}: {response.text[:200]}")
    found: dict[str, Any] = response.json()
    return found


def percentile(values: Sequence[float], percent: int) -> float:
    """Percentile of at least one value."""
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def ratio_of(
    without: Sequence[Turn], beside: Sequence[Turn], value: Callable[[Asked], float], percent: int
) -> tuple[float, float, float, float, float]:
    """Percentile without and with a batch, its ratio, and the ratio's interval of 95%."""

    def of(turns: Sequence[Turn]) -> float:
        return percentile([value(one) for turn in turns for one in turn.asked], percent)

    rng = random.Random(0)
    ratios = []
    for _ in range(SAMPLES):
        chosen = rng.choices(range(len(without)), k=len(without))
        ratios.append(of([beside[one] for one in chosen]) / of([without[one] for one in chosen]))
    before, after = of(without), of(beside)
    cut = quantiles(ratios, n=40, method="inclusive")
    return before, after, after / before, cut[0], cut[-1]


def table(without: Sequence[Turn], beside: Sequence[Turn]) -> str:
    """The results as text."""
    rows = [f"{'':<26}{'without':>10}{'with':>10}{'ratio':>8}  95% interval"]
    for name, value in (("first token", lambda one: one.first_s), ("answer", lambda one: one.whole_s)):
        for percent in (50, 95, 99):
            before, after, ratio, low, high = ratio_of(without, beside, value, percent)
            label = f"{name}, p{percent}, ms"
            rows.append(f"{label:<26}{before * 1e3:>10.0f}{after * 1e3:>10.0f}{ratio:>8.2f}  {low:.2f} to {high:.2f}")
    counts = [sum(len(turn.asked) for turn in turns) for turns in (without, beside)]
    rows.append(f"{'answers':<26}{counts[0]:>10}{counts[1]:>10}")
    rate = sum(turn.lines for turn in beside) / sum(turn.batch_s for turn in beside)
    rows.append(f"{'lines of the batch per s':<26}{'':>10}{rate:>10.2f}")
    return "\n".join(rows)


async def _run(client: httpx.AsyncClient, plan: Plan) -> str:
    without, beside = await measured(client, plan, lambda text: print(text, file=sys.stderr))
    if not all(turn.asked for turn in (*without, *beside)):
        raise LoadError("A turn has no answer; give a longer --turn-s.")
    return table(without, beside)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = CommandLine(prog="python -m loadtest.batch_beside", description=__doc__)
    add = parser.add_argument
    add("host", nargs="?", default="http://127.0.0.1:8000", help="address of the server; default: %(default)s")
    add("--model", default="moa-lite", help="model or recipe of all requests; default: %(default)s")
    add("--users", type=at_least(1, int, 1000), default=2, help="interactive requests at a time; default: 2")
    add("--words", type=at_least(1, int, 10_000), default=20, help="words of each prompt; default: 20")
    add("--max-tokens", type=at_least(1, int, 10_000), default=32, help="tokens of each answer; default: 32")
    add("--lines", type=at_least(1, int, 50_000), default=2000, help="lines of each batch; default: 2000")
    add("--turns", type=at_least(1, int, 1000), default=6, help="turns of each kind; default: 6")
    add("--turn-s", type=at_least(0.1), default=30.0, help="seconds of a turn; default: 30")
    given = parser.parse_args(arguments)
    plan = Plan(given.model, given.users, given.words, given.max_tokens, given.lines, given.turns, given.turn_s)
    try:
        print(ask_server(given.host, lambda client: _run(client, plan)))
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
