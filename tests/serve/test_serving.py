"""Requests through Ray Serve: answers, streams, typed errors, cancellation, lost replicas."""

import time
from typing import Any

import httpx
import openai
import pytest

from tests.support.server import Server


def ask(client: openai.OpenAI, text: str, model: str = "scripted-a", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **options)


def status(client: openai.OpenAI, text: str, model: str = "scripted-a", **options: Any) -> tuple[int, str, str]:
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client, text, model, **options)
    return refused.value.status_code, str(refused.value.code), refused.value.message


def test_models_answer_through_their_handles(client: openai.OpenAI) -> None:
    for model in ("scripted-a", "scripted-b"):
        assert ask(client, "hello", model).choices[0].message.content == f"words of {model}"


def test_a_recipe_fans_out_over_handles(client: openai.OpenAI) -> None:
    answer = ask(client, "hello", "moa-lite", extra_body={"moa": {"trace": True}})
    assert answer.choices[0].message.content == "words of scripted-a"
    proposers, aggregator = answer.moa["trace"]
    assert [agent["text"] for agent in proposers["agents"]] == ["words of scripted-a", "words of scripted-b"]
    assert aggregator["agents"][0]["role"] == "aggregator"


def test_a_recipe_of_the_users_own_file_is_served(client: openai.OpenAI) -> None:
    """examples/my_recipe.py: the orchestrator's process imports it by its name in the profile."""
    answer = ask(client, "hello", "chain", extra_body={"moa": {"trace": True}})
    assert answer.choices[0].message.content == "words of scripted-b"
    asked = [(agent["role"], agent["model"]) for layer in answer.moa["trace"] for agent in layer["agents"]]
    assert asked == [("proposer", "scripted-a"), ("proposer", "scripted-b"), ("aggregator", "scripted-b")]
    pieces = [chunk.choices[0].delta.content for chunk in ask(client, "hello", "chain", stream=True) if chunk.choices]
    assert "".join(piece or "" for piece in pieces) == "words of scripted-b"


def test_a_stream_is_not_held_back_on_its_way(client: openai.OpenAI) -> None:
    """200 words, 50 ms apart: the first is read long before the last is written."""
    began = time.monotonic()
    arrivals = [
        time.monotonic() - began
        for chunk in ask(client, "slow", stream=True)
        if chunk.choices and chunk.choices[0].delta.content
    ]
    assert len(arrivals) > 50
    assert arrivals[0] < arrivals[-1] / 4


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        ("fail", (502, "engine_failed"), "scripted to fail"),
        ("cut", (502, "incomplete_generation"), "ended before the answer was complete"),
        ("bug", (502, "engine_failed"), "unexpected RuntimeError; the server's log has the details"),
        ("x " * 1200, (400, "context_length_exceeded"), "1205 tokens"),
    ],
)
def test_an_error_of_a_replica_keeps_its_type(
    client: openai.OpenAI, text: str, expected: tuple[int, str], words: str
) -> None:
    code, name, message = status(client, text)
    assert (code, name) == expected
    assert words in message


def test_a_caller_who_leaves_cancels_the_replicas_work(server: Server, client: openai.OpenAI) -> None:
    body = {"model": "scripted-b", "messages": [{"role": "user", "content": "hang"}]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=httpx.Timeout(30, read=1.0))
    # Hanging engines never finish: without cancellation, 64 such requests would fill the replica.
    for _ in range(70):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=httpx.Timeout(30, read=0.05))
    assert ask(client, "hello", "scripted-b").choices[0].message.content == "words of scripted-b"


def test_a_replica_that_dies_is_an_error_and_then_replaced(client: openai.OpenAI) -> None:
    code, name, message = status(client, "die", "scripted-b")
    assert (code, name) == (503, "engine_unavailable")
    assert "'scripted-b' is not available" in message
    deadline = time.monotonic() + 120
    while answers(client, "scripted-b") != "words of scripted-b":
        assert time.monotonic() < deadline, "the replica did not come back"
        time.sleep(0.5)


def answers(client: openai.OpenAI, model: str) -> str | None:
    try:
        return ask(client, "hello", model).choices[0].message.content
    except (openai.APIStatusError, openai.APITimeoutError):
        return None


def test_a_deadline_ends_a_call_that_hangs(client: openai.OpenAI) -> None:
    answer = status(client, "hang", "moa-lite", extra_body={"moa": {"deadline_s": 1}})
    assert answer[:2] == (504, "deadline_exceeded")
