"""Clients that disconnect and engines that die. Last in alphabetical order, since it breaks the server."""

import json
import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.conftest import MODELS, Stats
from tests.support.server import Server

LONG = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3000, "ignore_eos": True}
GONE_S = 1.0  # the bound under test: from the disconnect to the end of the engines' work
BACK_S = 240


def until(met: Any, within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < deadline, f"{what} within {within_s} s"
        time.sleep(0.05)


def unfinished(stats: Stats) -> int:
    return sum(of_model["unfinished_requests"] for of_model in stats().values())


def request_of(url: httpx.URL, body: dict[str, Any]) -> bytes:
    """HTTP request as bytes, for a caller that leaves by closing its socket."""
    content = json.dumps(body)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nContent-Type: application/json"
    return f"{head}\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode()


@pytest.mark.parametrize("model", ["tiny-qwen", "moa-lite"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_caller_who_leaves_ends_the_work_in_every_engine(
    base_url: str, stats: Stats, model: str, stream: bool
) -> None:
    """The caller leaves once its work was seen; a streamed one also has text by then."""
    until(lambda: unfinished(stats) == 0, 30, "idle engines")
    aborted = {name: of_model["aborted_requests"] for name, of_model in stats().items()}
    url = httpx.URL(base_url)
    with socket.create_connection((url.host, url.port or 80), timeout=120) as caller:
        caller.sendall(request_of(url, {**LONG, "model": model, "stream": stream}))
        until(lambda: unfinished(stats) > 0, 60, "a request in an engine")
        if stream:
            with caller.makefile("rb") as lines:
                next(line for line in lines if re.search(rb'"content":"[^"]', line))
    left = time.monotonic()
    until(lambda: unfinished(stats) == 0, GONE_S, "all engines' work ended")
    assert time.monotonic() - left <= GONE_S
    after = stats()
    assert any(after[name]["aborted_requests"] > aborted[name] for name in MODELS)


def test_a_dead_engine_costs_quality_or_a_clear_error_and_comes_back(server: Server, client: openai.OpenAI) -> None:
    more = {"ignore_eos": True, "moa": {"trace": True}}

    def body(number: int) -> dict[str, Any]:
        # A question of its own, so that no two are computed as one, and enough tokens to be seen at work.
        messages = [{"role": "user", "content": f"hello {number}"}]
        return {"messages": messages, "max_tokens": 400, "temperature": 0}

    def recipe(number: int) -> Any:
        return client.chat.completions.create(model="moa-lite", extra_body=more, **body(number))

    def alone(number: int) -> Any:
        try:
            return client.chat.completions.create(model="tiny-llama", extra_body={"ignore_eos": True}, **body(number))
        except openai.APIStatusError as error:
            return error

    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(recipe, number) for number in range(8)]
        singles = [pool.submit(alone, number) for number in range(8)]
        working = {"model": "tiny-llama", "stream": True, "extra_body": {"ignore_eos": True}}
        with client.chat.completions.create(**working, **body(9)) as answering:
            next(iter(answering))  # its engine is at work
            os.kill(server.engine_process("tiny-llama"), signal.SIGKILL)
        for answer in answers:
            done = answer.result(timeout=120)
            assert done.choices[0].message.content
            agents = [agent for layer in done.moa["trace"] for agent in layer["agents"]]
            lost = [agent for agent in agents if agent["outcome"] != "ok"]
            assert done.moa["degraded"] == bool(lost)
            assert {agent["model"] for agent in lost} <= {"tiny-llama"}
        for single in singles:
            done = single.result(timeout=120)
            if isinstance(done, openai.APIStatusError):
                assert done.status_code in (502, 503)
                assert "tiny-llama" in done.message
            else:
                assert done.choices[0].finish_reason == "length"

    def back() -> bool:
        return not isinstance(alone(0), openai.APIStatusError)

    until(back, BACK_S, "the model back by itself")
    assert not recipe(0).moa["degraded"]
