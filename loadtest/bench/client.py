"""Client of the benchmarks: one HTTP session, the same for every contender."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from loadtest.errors import LoadError
from loadtest.results.exchange import Exchange
from loadtest.results.exchange_builder import ExchangeBuilder, agents

KEEP_ALIVE_S = 2.0
PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with its measurements. `sent` and `ended` are `time.perf_counter()` seconds."""

    exchange: Exchange
    text: str
    moa: Mapping[str, Any]
    sent: float

    @property
    def ended(self) -> float:
        """End of the answer."""
        return self.sent + self.exchange.total_s


def session(timeout_s: float = 300.0) -> aiohttp.ClientSession:
    """Open a session without a limit on connections: requests would wait in the client.

    Idle connections are closed before the server closes them (uvicorn: after 5 s) under a request in flight.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=timeout_s),
    )


async def ask(
    http: aiohttp.ClientSession, host: str, body: Mapping[str, Any], scenario: str = "", started: float = 0.0
) -> Answer:
    """Ask for one chat completion, streamed if `body` says so. A failure is the exchange's `error`; none is raised."""
    streamed = bool(body.get("stream"))
    builder = ExchangeBuilder(scenario, str(body["model"]), streamed, time.perf_counter())
    try:
        async with http.post(host + PATH, json=body) as response:
            builder.status = response.status
            if streamed and response.status == 200:
                async for chunk in response.content.iter_any():
                    builder.feed(chunk, time.perf_counter())
            else:
                builder.add_whole(response.status, await response.read())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        builder.fail(f"connection: {type(error).__name__}")
    exchange = builder.build(time.perf_counter(), started)
    return Answer(exchange, "".join(builder.text), builder.moa, builder.sent)


def chat_body(model: str, messages: list[dict[str, str]], max_tokens: int, stream: bool, **more: Any) -> dict[str, Any]:
    """Build a request for exactly `max_tokens` tokens, with the temperature that recipes have by default.

    A streamed request also forbids the end token (`min_tokens`), which has no text: TTFT could not be measured.
    """
    body = {
        "model": model,
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0.7,
        "ignore_eos": True,
        "stream": stream,
        **more,
    }
    if stream:
        body |= {"stream_options": {"include_usage": True}, "min_tokens": max_tokens}
    return body


def check(answer: Answer, tokens: int) -> None:
    """Check that every agent generated `tokens` tokens; otherwise the comparison is not fair.

    The calls of the last layer, of which `moa-staircase` has one per chunk, are one agent.

    Raises:
        LoadError: an agent failed, or generated another number of tokens.
    """
    exchange = answer.exchange
    if exchange.error is not None:
        raise LoadError(f"'{exchange.model}' failed in the benchmark: {exchange.error}.")
    team = list(agents(answer.moa))
    for agent in team:
        if agent["outcome"] != "ok":
            why = agent["error"] or "no reason given"
            raise LoadError(f"'{agent['model']}' did not answer in the benchmark: {agent['outcome']}, {why}.")
    last = max((agent["layer"] for agent in team), default=0)
    counts = {agent["usage"]["completion_tokens"] for agent in team if agent["layer"] < last}
    final = [agent["usage"]["completion_tokens"] for agent in team if agent["layer"] == last]
    counts.add(sum(final) if final else exchange.answer_tokens)
    if counts != {tokens}:
        gave = ", ".join(sorted(map(str, counts)))
        raise LoadError(f"'{exchange.model}' was asked for {tokens} tokens per agent, but generated {gave}.")
