"""Usage of answers beside the server's records of them: `python -m loadtest.usage_sum http://127.0.0.1:8000`.

Asks a running server in four dialects, whole and streamed, models and recipes in turn, and sums the usage in the
answers: `moa.usage` of a recipe, which counts all its calls, else `usage`. Prints the sums beside the difference that
`GET /v1/usage` shows for the same requests. Nobody else may use the key meanwhile; the API key is read from
LOADTEST_API_KEY. Exit codes: 0: both are equal to the token; 1: they are not; 2: the server could not be asked.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from loadtest.errors import LoadError
from loadtest.server_client import ask_server
from loadtest.traffic.prompts import words
from serving.command_line import CommandLine, at_least

FIELDS = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens")
RECORDED_S, POLL_S = 30.0, 0.5  # until a record is written
SETTLED_S = 2.0  # records are written within a second
Json = dict[str, Any]


def requests_of(models: Sequence[str], count: int, max_tokens: int) -> list[tuple[str, Json]]:
    """Paths and bodies of `count` requests: each dialect with each model, then again."""
    rng = random.Random(0)
    found: list[tuple[str, Json]] = []
    while len(found) < count:
        for model in models:
            text = words(rng.randint(3, 40), rng)
            turn = [{"role": "user", "content": text}]
            limit = {"model": model, "max_tokens": max_tokens}
            stream = {"stream": True, "stream_options": {"include_usage": True}}
            found += [
                ("/v1/chat/completions", {**limit, "messages": turn}),
                ("/v1/chat/completions", {**limit, "messages": turn, **stream, "moa": {"trace": True}}),
                ("/v1/responses", {"model": model, "input": text, "max_output_tokens": max_tokens, "store": False}),
                ("/v1/messages", {**limit, "messages": turn}),
                ("/v1/completions", {**limit, "prompt": [text, f"{text} again"]}),
            ]
    return found[:count]


def usage_in(answer: Mapping[str, Any]) -> Counter[str]:
    """Tokens of an answer, or of the last event of a stream, in any dialect."""
    usage = (answer.get("moa") or {}).get("usage") or answer["usage"]
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    read_from_cache = usage.get("cache_read_input_tokens", 0)  # Anthropic's input tokens are without those
    return Counter(
        requests=1,
        prompt_tokens=usage.get("prompt_tokens", usage.get("input_tokens", 0) + read_from_cache),
        completion_tokens=usage.get("completion_tokens", usage.get("output_tokens", 0)),
        cached_tokens=(details.get("cached_tokens") or 0) + read_from_cache,
    )


async def asked(client: httpx.AsyncClient, path: str, body: Json) -> Counter[str]:
    """Ask, and return the usage of the answer. Raises `LoadError`."""
    response = await client.post(path, json=body)
    if response.status_code != 200:
        raise LoadError(f"{path} was answered with {response.status_code}: {response.text[:200]}")
    if not body.get("stream"):
        return usage_in(response.json())
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return usage_in([event for event in events if event.get("usage")][-1])


async def recorded(client: httpx.AsyncClient) -> Counter[str]:
    """Usage of this month in the server's records. Raises `LoadError`."""
    response = await client.get("/v1/usage", params={"period": "month", "by": "key"})
    if response.status_code != 200:
        raise LoadError(f"/v1/usage was answered with {response.status_code}: {response.text[:200]}")
    total = response.json()["total"]
    return Counter({name: total[name] for name in FIELDS})


async def compared(
    client: httpx.AsyncClient, models: Sequence[str], count: int, max_tokens: int, at_once: int
) -> tuple[Counter[str], Counter[str]]:
    """Sums of the answers' usage, and of the records of the same requests.

    Args:
        client: of the server.
        models: models and recipes; empty: all that the server has and that answer with a text.
        count: number of requests.
        max_tokens: of each answer.
        at_once: requests in progress.

    Raises:
        LoadError: the server cannot be asked.
    """
    if not models:
        response = await client.get("/v1/models")
        if response.status_code != 200:
            raise LoadError(f"/v1/models was answered with {response.status_code}: {response.text[:200]}")
        cards = response.json()["data"]
        models = [card["id"] for card in cards if card.get("task", "generate") == "generate"]
    before = await _settled(client)
    places = asyncio.Semaphore(at_once)

    async def one(path: str, body: Json) -> Counter[str]:
        async with places:
            return await asked(client, path, body)

    answers = await asyncio.gather(*(one(*request) for request in requests_of(models, count, max_tokens)))
    sums: Counter[str] = Counter()
    for answer in answers:
        sums.update(answer)
    found: Counter[str] = Counter()
    for _ in range(round(RECORDED_S / POLL_S)):
        found = await recorded(client)
        found.subtract(before)
        if found["requests"] >= count:
            break
        await asyncio.sleep(POLL_S)
    return sums, found


async def _settled(client: httpx.AsyncClient) -> Counter[str]:
    """Usage once the records of earlier requests are written: two readings in a row are equal."""
    last = await recorded(client)
    for _ in range(round(RECORDED_S / POLL_S)):
        await asyncio.sleep(SETTLED_S)
        if (now := await recorded(client)) == last:
            break
        last = now
    return last


def table(sums: Mapping[str, int], found: Mapping[str, int]) -> str:
    """The results as text."""
    rows = [f"{'':<20}{'answers':>12}{'/v1/usage':>12}"]
    rows += [f"{name.replace('_', ' '):<20}{sums[name]:>12}{found[name]:>12}" for name in FIELDS]
    return "\n".join(rows)


def equal(sums: Mapping[str, int], found: Mapping[str, int]) -> bool:
    """True if both are equal to the token."""
    return all(sums[name] == found[name] for name in FIELDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = CommandLine(prog="python -m loadtest.usage_sum", description=__doc__)
    add = parser.add_argument
    add("host", nargs="?", default="http://127.0.0.1:8000", help="address of the server; default: %(default)s")
    add("--model", action="append", default=[], help="model or recipe; may be repeated; default: all of the server")
    add("--requests", type=at_least(1, int, 100_000), default=100, help="number of requests; default: 100")
    add("--max-tokens", type=at_least(1, int, 10_000), default=16, help="tokens of each answer; default: 16")
    add("--at-once", type=at_least(1, int, 1000), default=4, help="requests in progress; default: 4")
    given = parser.parse_args(arguments)
    try:
        sums, found = ask_server(
            given.host,
            lambda client: compared(client, given.model, given.requests, given.max_tokens, given.at_once),
        )
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(sums, found))
    return 0 if equal(sums, found) else 1


if __name__ == "__main__":
    sys.exit(main())
