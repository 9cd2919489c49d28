"""Asking a server: retries, refusals, and what is read from an answer."""

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from evaluation.client import AskFailed, Client
from evaluation.errors import EvaluationError

Handler = Callable[[httpx.Request], httpx.Response]
GOOD = {
    "choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": None},
}


def client(handler: Handler, **options: object) -> Client:
    values = {"backoff_s": 0.0, "transport": httpx.MockTransport(handler), **options}
    return Client("http://server/v1/", **values)  # type: ignore[arg-type]


def in_turn(*responses: httpx.Response | Exception) -> Handler:
    waiting: Iterator[httpx.Response | Exception] = iter(responses)

    def answer(request: httpx.Request) -> httpx.Response:
        response = next(waiting)
        if isinstance(response, Exception):
            raise response
        return response

    return answer


async def test_an_answer_keeps_what_is_not_known_apart_from_zero() -> None:
    async with client(in_turn(httpx.Response(200, json=GOOD))) as server:
        answer = await server.ask("m", [{"role": "user", "content": "?"}])
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("yes", 7, None)
    assert answer.trace == ()


async def test_the_request_holds_model_messages_fields_and_key() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=GOOD)

    async with client(handler, api_key="secret") as server:
        await server.ask("m", [{"role": "user", "content": "?"}], temperature=0)
    assert str(seen[0].url) == "http://server/v1/chat/completions"
    assert seen[0].headers["authorization"] == "Bearer secret"
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "temperature": 0}
    assert json.loads(seen[0].content) == body


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(429, json={"error": {"message": "full"}}, headers={"retry-after": "0"}),
        httpx.Response(503, text="no replica"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
    ],
)
async def test_trouble_that_passes_is_tried_again(trouble: httpx.Response | Exception) -> None:
    async with client(in_turn(trouble, httpx.Response(200, json=GOOD))) as server:
        assert (await server.ask("m", [])).text == "yes"


async def test_a_refusal_is_not_tried_again() -> None:
    refusal = httpx.Response(400, json={"error": {"message": "Remove 'x'."}})
    async with client(in_turn(refusal)) as server:
        with pytest.raises(AskFailed, match=r"400: Remove 'x'\."):
            await server.ask("m", [])


async def test_the_last_failure_is_told_when_attempts_run_out() -> None:
    busy = httpx.Response(429, json={"error": {"message": "full"}})
    async with client(in_turn(busy, busy, httpx.ConnectError("refused")), retries=2) as server:
        with pytest.raises(AskFailed, match="refused"):
            await server.ask("m", [])


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}'])
async def test_nonsense_is_a_failure(body: bytes) -> None:
    async with client(in_turn(httpx.Response(200, content=body))) as server:
        with pytest.raises(AskFailed, match="not a chat completion"):
            await server.ask("m", [])


async def test_first_token_alternatives_are_kept() -> None:
    logprobs = {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "B", "logprob": -2.0}]}]}
    body = {"choices": [{"message": {"content": "A"}, "logprobs": logprobs}]}
    async with client(in_turn(httpx.Response(200, json=body))) as server:
        assert (await server.ask("m", [])).first_logprobs == {"A": -0.1, "B": -2.0}


async def test_no_server_is_one_sentence() -> None:
    async with client(in_turn(httpx.ConnectError("refused"))) as server:
        with pytest.raises(EvaluationError, match="There is no server at http://server: refused"):
            await server.models()


@pytest.mark.parametrize(
    ("response", "found"),
    [
        (httpx.Response(200, json={"version": "0.1", "ray": "2"}), {"version": "0.1", "ray": "2"}),
        (httpx.Response(404, text="none"), {}),
        (httpx.Response(200, text="0.1"), {}),
    ],
)
async def test_a_server_may_say_what_it_runs(response: httpx.Response, found: dict[str, str]) -> None:
    async with client(in_turn(response)) as server:
        assert await server.version() == found
