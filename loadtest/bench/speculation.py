"""Benchmark of n-gram speculation for an aggregator: `python -m loadtest.bench.speculation`.

Starts vLLM's OpenAI server with a profile's aggregator, without and with `speculative_config`, one after the other;
sends both the same questions with the same references, and prints a table. Run nothing else meanwhile.
"""

import asyncio
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from deployments.config import Profile, load_profile
from deployments.model_spec import ModelSpec
from evaluation.datasets import loading
from loadtest.bench.client import ask, session
from loadtest.bench.contenders import READY_S, plain_environment, vllm_command
from loadtest.bench.machine import describe, sentence
from loadtest.bench.processes import HOST, run, server
from loadtest.errors import LoadError
from loadtest.progress import ProgressLine
from serving.command_line import CommandLine, at_least
from serving.conversation import Message
from serving.errors import ConfigError
from serving.ports import free_port
from serving.references import Reference, ReferenceBlock
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references

SEED = 0
ANSWER_TOKENS = 64
CONCURRENCY = (1, 16)
DRAFTED, ACCEPTED = "vllm:spec_decode_num_draft_tokens_total", "vllm:spec_decode_num_accepted_tokens_total"


@dataclass(frozen=True, slots=True)
class Measured:
    """Measures at one concurrency."""

    tokens_per_s: float
    answer_ms: float  # p50, from the question to the end of the answer
    drafted: float
    accepted: float


def prompts(count: int) -> list[list[dict[str, str]]]:
    """Build aggregator prompts: a held-out question, its right answer and two answers to others of its skill."""
    rng = random.Random(SEED)
    items = loading.load("tiny").items
    drawn = rng.sample(items, count)
    answers = {
        skill: [str(item.answer) for item in items if item.skill == skill] for skill in {item.skill for item in drawn}
    }
    asked = []
    for item in drawn:
        texts = [str(item.answer), *rng.sample(answers[item.skill], 2)]
        rng.shuffle(texts)
        block = ReferenceBlock(tuple(Reference("", text) for text in texts), AGGREGATE_AND_SYNTHESIZE)
        messages = with_references((Message("user", item.turns[0]),), block)
        asked.append([{"role": message.role, "content": message.content} for message in messages])
    return asked


async def measure(
    model: ModelSpec, env: dict[str, str], config: dict[str, Any] | None, count: int, log: Path
) -> dict[int, Measured]:
    """Measure the answers to `count` questions, by concurrency."""
    port = free_port()
    host = f"http://{HOST}:{port}"
    command = [word for word in vllm_command(model, port) if word != "--disable-log-stats"]
    if config is not None:
        command += ["--speculative-config", json.dumps(config)]
    asked = prompts(count)
    found: dict[int, Measured] = {}
    async with server(command, env, log, f"{host}/health", READY_S), session() as http:
        for concurrency in CONCURRENCY:
            limit = asyncio.Semaphore(concurrency)

            await asyncio.gather(
                *(answered(http, host, model.id, messages, limit) for messages in asked[: CONCURRENCY[-1]])
            )  # warm-up, so that prefixes are cached
            before = await counters(http, host)
            began = time.perf_counter()
            answers = await asyncio.gather(*(answered(http, host, model.id, messages, limit) for messages in asked))
            took_s = time.perf_counter() - began
            after = await counters(http, host)
            found[concurrency] = Measured(
                sum(tokens for _, tokens in answers) / took_s,
                statistics.median(ms for ms, _ in answers),
                after[DRAFTED] - before[DRAFTED],
                after[ACCEPTED] - before[ACCEPTED],
            )
    return found


async def answered(
    http: aiohttp.ClientSession, host: str, model: str, messages: list[dict[str, str]], limit: asyncio.Semaphore
) -> tuple[float, int]:
    """Ask one question; return the milliseconds and tokens of its answer. Raises `LoadError` if it fails."""
    async with limit:
        body = {"model": model, "messages": messages, "max_tokens": ANSWER_TOKENS, "temperature": 0}
        exchange = (await ask(http, host, body)).exchange
    if exchange.error is not None or exchange.answer_tokens is None:
        raise LoadError(f"'{model}' failed in the benchmark: {exchange.error}.")
    return exchange.total_s * 1000, exchange.answer_tokens


async def counters(http: aiohttp.ClientSession, host: str) -> dict[str, float]:
    """Read vLLM's counts of drafted and accepted tokens; 0 if it does not speculate."""
    async with http.get(f"{host}/metrics", raise_for_status=True) as response:
        text = await response.text()
    return {
        name: sum(float(value) for value in re.findall(rf"^{name}\{{[^}}]*\}} (\S+)$", text, re.MULTILINE))
        for name in (DRAFTED, ACCEPTED)
    }


def table(found: dict[str, dict[int, Measured]]) -> str:
    """Format the measures by configuration and concurrency."""
    lines = [f"{'':28}{'at a time':>10}{'tokens/s':>12}{'answer ms':>12}{'drafted':>10}{'accepted':>10}"]
    for name, by_concurrency in found.items():
        for concurrency, one in by_concurrency.items():
            share = f"{one.accepted / one.drafted:.0%}" if one.drafted else "-"
            lines.append(
                f"{name:28}{concurrency:10}{one.tokens_per_s:12,.0f}{one.answer_ms:12.1f}{one.drafted:10,.0f}{share:>10}"
            )
    return "\n".join(lines)


async def compare(
    profile: Profile, configs: Sequence[tuple[str, dict[str, Any] | None]], count: int, out: Path, line: ProgressLine
) -> None:
    """Measure each configuration and print the table."""
    name = profile.team["aggregator"]
    [model] = [model for model in profile.models if model.id == name]
    env = plain_environment({**profile.env, **model.env})
    found = {}
    for label, config in configs:
        line.say(f"{label} ...")
        found[label] = await measure(model, env, config, count, out / f"speculation-{label}.log")
    print(table(found))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = CommandLine(prog="python -m loadtest.bench.speculation", description=__doc__)
    parser.add_argument("--profile", default="tiny", help="profile with the aggregator; default: tiny")
    parser.add_argument(
        "--questions", type=at_least(1, int, 1_000_000), default=200, help="questions per row; default: 200"
    )
    parser.add_argument(
        "--drafts",
        type=at_least(1, int, 64),
        nargs="+",
        default=[2, 4],
        help="tokens per draft, a row each; default: 2 4",
    )
    parser.add_argument(
        "--lookup", type=at_least(1, int, 64), default=4, help="longest n-gram to look up in the prompt; default: 4"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench-logs"), help="folder for logs; default: build/bench-logs"
    )
    parsed = parser.parse_args(arguments)
    ngram = {"method": "ngram", "prompt_lookup_max": parsed.lookup, "prompt_lookup_min": 1}
    configs = [("off", None), *((f"ngram-{n}", {**ngram, "num_speculative_tokens": n}) for n in parsed.drafts)]
    line = ProgressLine()
    try:
        line.say(sentence(describe()))
        return 0 if run(compare(load_profile(parsed.profile), configs, parsed.questions, parsed.out, line)) else 130
    except (LoadError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
