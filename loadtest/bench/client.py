"""The benchmark's own client: one HTTP session, answers read line by line, the same for every contender."""

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
    """`sent` and `ended` are `time.perf_counter()` seconds."""

    exchange: Exchange
    text: str
    moa: Mapping[str, Any]
    sent: float

    @property
    def ended(self) -> float:
        return self.sent + self.exchange.total_s


def session(timeout_s: float = 300.0) -> aiohttp.ClientSession:
    """Without a limit on connections, or requests would wait in the client.

    An idle connection is dropped before the server drops it (uvicorn: after 5 s), which a request in flight would meet.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=timeout_s),
    )


async def ask(
    http: aiohttp.ClientSession, host: str, body: Mapping[str, Any], scenario: str = "", started: float = 0.0
) -> Answer:
    """One chat completion, streamed where `body` says so; a failure is in the exchange's `error`, never raised."""
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
    """A request for exactly `max_tokens` tokens, sampled as teams are by default.

    A watched answer forbids the end token too (`min_tokens`), or its first token might have no text to be seen by.
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
    """Every agent must have done the work it was asked for, or the comparison means nothing. Raises `LoadError`."""
    exchange = answer.exchange
    if exchange.error is not None:
        raise LoadError(f"'{exchange.model}' failed in the benchmark: {exchange.error}.")
    team = list(agents(answer.moa))
    for agent in team:
        if agent["outcome"] != "ok":
            why = agent["error"] or "no reason given"
            raise LoadError(f"'{agent['model']}' did not answer in the benchmark: {agent['outcome']}, {why}.")
    counts = {agent["usage"]["completion_tokens"] for agent in team} or {exchange.answer_tokens}
    if counts != {tokens}:
        gave = ", ".join(sorted(map(str, counts)))
        raise LoadError(f"'{exchange.model}' was asked for {tokens} tokens from each agent, but gave {gave}.")
