"""Clients that disconnect and engines that die. Last in alphabetical order, since it breaks the server."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.conftest import MODELS, Stats
from tests.support.server import Server

LONG = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 6000, "ignore_eos": True}
GONE_S = 1.0  # the bound under test: from the disconnect to the end of the engines' work
BACK_S = 240


def until(met: Any, within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < deadline, f"{what} within {within_s} s"
        time.sleep(0.05)


def unfinished(stats: Stats) -> int:
    return sum(of_model["unfinished_requests"] for of_model in stats().values())


@pytest.mark.parametrize("model", ["tiny-qwen", "moa-lite"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_caller_who_leaves_ends_the_work_in_every_engine(
    base_url: str, stats: Stats, model: str, stream: bool
) -> None:
    until(lambda: unfinished(stats) == 0, 30, "idle engines")
    aborted = {name: of_model["aborted_requests"] for name, of_model in stats().items()}
    with ThreadPoolExecutor(1) as pool, httpx.Client(timeout=60) as caller:
        body = {**LONG, "model": model, "stream": stream}
        leave_after = httpx.Timeout(60, read=4.0)
        seen = Event()  # a caller who left at the first token would be gone before anybody has looked

        def call() -> None:
            try:
                with caller.stream("POST", f"{base_url}/v1/chat/completions", json=body, timeout=leave_after) as answer:
                    for line in answer.iter_lines():
                        said = "content" in line and json.loads(line[6:])["choices"][0]["delta"].get("content")
                        if said and seen.is_set():
                            return
            except httpx.ReadTimeout:
                pass  # proposers write more than 4 s: nothing has come, and the connection is closed

        running = pool.submit(call)
        until(lambda: unfinished(stats) > 0, 30, "a request in an engine")
        seen.set()
        running.result(timeout=60)
    left = time.monotonic()
    until(lambda: unfinished(stats) == 0, GONE_S, "all engines' work ended")
    assert time.monotonic() - left <= GONE_S
    after = stats()
    assert any(after[name]["aborted_requests"] > aborted[name] for name in MODELS)


def test_a_dead_engine_costs_quality_or_a_clear_error_and_comes_back(
    server: Server, client: openai.OpenAI, stats: Stats
) -> None:
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

    stats()  # the first call connects, which takes longer than a short answer
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(recipe, number) for number in range(8)]
        singles = [pool.submit(alone, number) for number in range(8)]
        until(lambda: stats()["tiny-llama"]["unfinished_requests"] > 0, 30, "work in the engine")
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
