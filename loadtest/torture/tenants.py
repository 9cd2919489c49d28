"""Two tenants: nothing that one can measure says what the other asked."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
from scipy import stats

from loadtest.torture.effort import Effort
from loadtest.torture.row import Row
from loadtest.torture.stage import app_of, chat, orchestrate, trio
from serving.engines.simulated_loop import simulated
from serving.types import Delta, GenerateRequest

KEYS = ("key-of-one-tenant", "key-of-another")
PREFILL_S = 0.02  # of a prompt that is not cached
ANSWER_S = 0.02
JITTER = 0.2
LEAST_P = 0.05
PAIRS = 300  # also of the short run: fewer, which are the same each time, may differ by chance


class PrefixCache:
    """Prefix cache as vLLM's: prompts are found by their text and salt, and then cost no prefill."""

    def __init__(self) -> None:
        self._rng = random.Random(1)
        self._known: set[tuple[str | None, str]] = set()

    async def intercept(
        self, request: GenerateRequest, stream: AsyncGenerator[Delta, None]
    ) -> AsyncGenerator[Delta, None]:
        """Take the time of a prompt that is not known, and that of the answer."""
        salt = request.prefix_salt
        prompt = (salt, str([message.content for message in request.messages]))
        jitter = self._rng.uniform(1 - JITTER, 1 + JITTER)
        await asyncio.sleep((ANSWER_S + (0 if prompt in self._known else PREFILL_S)) * jitter)
        self._known.add(prompt)
        async with aclosing(stream):
            async for delta in stream:
                yield delta


async def _asked(http: httpx.AsyncClient, key: str, text: str, **fields: Any) -> tuple[float, dict[str, Any]]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    headers = {"authorization": f"Bearer {key}"}
    response = await http.post("/v1/chat/completions", json=chat("a", text, **fields), headers=headers)
    elapsed_s = loop.time() - began
    response.raise_for_status()
    return elapsed_s, json.loads(response.text) if not fields.get("stream") else {}


def _client() -> httpx.AsyncClient:
    models = trio(intercept=PrefixCache().intercept)
    app = app_of(orchestrate(models), api_key=KEYS)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://torture", timeout=60)


async def cached_prompts(effort: Effort) -> Row:
    """A prompt that the other tenant asked before, against one that nobody asked."""
    asked: list[float] = []
    fresh: list[float] = []
    counts: set[Any] = set()
    async with _client() as http:
        for number in range(PAIRS):
            await _asked(http, KEYS[0], f"secret {number}", stream=True)
            pair = [(f"secret {number}", asked), (f"fresh {number}", fresh)]
            for text, found in pair if number % 2 else pair[::-1]:
                seconds, _ = await _asked(http, KEYS[1], text, stream=True)
                found.append(seconds)
                effort.say(f"prompt {number}")
            _, whole = await _asked(http, KEYS[1], f"secret {number}", temperature=1)
            counts.add((whole["usage"].get("prompt_tokens_details") or {}).get("cached_tokens"))
    row = _compared(
        "The time of an answer does not tell that another key asked the same prompt before",
        asked,
        fresh,
        "The prefix cache is shared between keys.",
    )
    return replace(
        row,
        figure=f"{row.figure}; counts of cached tokens: {sorted(map(str, counts))}",
        limit=f"{row.limit}; one count",
        kept=row.kept and len(counts) == 1,
    )


async def shared_calls() -> Row:
    """A greedy question that the other tenant is just asking, against one that nobody asks."""
    beside: list[float] = []
    alone: list[float] = []
    async with _client() as http:
        for number in range(PAIRS):
            for text, other, times in (("secret", "secret", beside), ("secret", "else", alone)):
                question = f"{text} {number} {len(times)} {times is beside}"
                its = question if other == text else f"{other} {number}"
                running = asyncio.create_task(_asked(http, KEYS[0], its, temperature=0))
                await asyncio.sleep(PREFILL_S / 2)
                seconds, _ = await _asked(http, KEYS[1], question, temperature=0)
                times.append(seconds)
                await running
    return _compared(
        "The time of an answer does not tell that another key is asking the same at the moment",
        beside,
        alone,
        "Equal calls in flight are shared between keys.",
    )


def _compared(promise: str, with_other_s: list[float], without_s: list[float], why: str) -> Row:
    """Row that is kept if both samples may be of one distribution; else its note is `why`."""
    p = float(stats.ks_2samp(with_other_s, without_s).pvalue)
    return Row(
        promise,
        f"Kolmogorov-Smirnov p = {p:.2g} over {len(without_s)} pairs; medians {_median_ms(with_other_s)} and"
        f" {_median_ms(without_s)} ms",
        f"p > {LEAST_P}",
        p > LEAST_P,
        "" if p > LEAST_P else why,
    )


def _median_ms(seconds: list[float]) -> str:
    return f"{sorted(seconds)[len(seconds) // 2] * 1000:.1f}"


async def measure(effort: Effort) -> list[Row]:
    """Measure both rows, in simulated time: no noise of the machine hides a difference."""
    return [await simulated(partial(cached_prompts, effort)), await simulated(shared_calls)]
