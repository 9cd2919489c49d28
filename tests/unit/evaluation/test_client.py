"""Requests to a server: retries, refusals, and the fields of an answer."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import httpx
import pytest

from evaluation.client import AskFailed, Client, key_in
from evaluation.errors import EvaluationError

Handler = Callable[[httpx.Request], httpx.Response]
GOOD = {
    "choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": None},
}


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds before each retry; the test does not wait for them."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr("anyio.sleep", sleep)
    return taken


def client(handler: Handler, **options: object) -> Client:
    return Client("http://server/v1/", transport=httpx.MockTransport(handler), **options)  # type: ignore[arg-type]


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


async def test_an_answer_of_a_recipe_counts_all_its_agents() -> None:
    moa = {"recipe": "team", "degraded": False, "reasons": [], "usage": {"prompt_tokens": 70, "completion_tokens": 9}}
    async with client(in_turn(httpx.Response(200, json={**GOOD, "moa": moa}))) as server:
        answer = await server.ask("m", [{"role": "user", "content": "?"}])
    assert (answer.prompt_tokens, answer.completion_tokens) == (70, 9)


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
async def test_trouble_that_passes_is_tried_again(trouble: httpx.Response | Exception, pauses: list[float]) -> None:
    async with client(in_turn(trouble, httpx.Response(200, json=GOOD))) as server:
        assert (await server.ask("m", [])).text == "yes"
    assert len(pauses) == 1


async def test_retry_after_sets_the_pause(pauses: list[float]) -> None:
    busy = httpx.Response(429, headers={"retry-after": "7"})
    async with client(in_turn(busy, httpx.Response(200, json=GOOD))) as server:
        await server.ask("m", [])
    assert pauses == [7.0]


async def test_the_latency_is_that_of_the_successful_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 100.0, 103.0])  # the first attempt starts, the second starts, the second ends
    monkeypatch.setattr("evaluation.client.time", SimpleNamespace(monotonic=lambda: next(clock)))
    async with client(in_turn(httpx.ConnectError("refused"), httpx.Response(200, json=GOOD))) as server:
        assert (await server.ask("m", [])).latency_s == 3.0


async def test_a_redirect_is_a_refusal() -> None:
    moved = httpx.Response(307, headers={"location": "http://other/"}, text="moved")
    async with client(in_turn(moved)) as server:
        with pytest.raises(AskFailed, match="307: moved"):
            await server.ask("m", [])


async def test_no_attempt_lasts_longer_than_the_timeout() -> None:
    limits: list[dict[str, float]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        limits.append(request.extensions["timeout"])
        raise httpx.ReadTimeout("late")

    async with client(handler, timeout_s=30.0, retries=0) as server:
        with pytest.raises(AskFailed, match="no answer: it sent nothing until the timeout"):
            await server.ask("m", [])
    assert limits == [{"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 30.0}]


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
        with pytest.raises(
            EvaluationError, match=r"No server at http://server: it cannot be reached \(refused\)\. Start one"
        ):
            await server.models()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectTimeout("secret"), "it cannot be reached within 10 s"),
        (httpx.ReadTimeout("secret"), "it sent nothing until the timeout"),
        (httpx.RemoteProtocolError("secret"), r"the connection failed \(RemoteProtocolError\)"),
    ],
)
async def test_the_text_of_a_lost_connection_is_not_passed_on(error: httpx.TransportError, reason: str) -> None:
    async with client(in_turn(error), retries=0) as server:
        with pytest.raises(AskFailed, match=f"^no answer: {reason}$"):
            await server.ask("m", [])


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"data": [1]}', b"[]"])
async def test_a_server_of_another_kind_is_one_sentence(content: bytes) -> None:
    async with client(in_turn(httpx.Response(200, content=content))) as server:
        with pytest.raises(EvaluationError, match="models answered without a list of models; name an OpenAI-compat"):
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


async def test_reasoning_and_tool_calls_of_an_answer() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1'}}
    message = {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [call]}
    usage = {"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 2}}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}
    async with client(in_turn(httpx.Response(200, json=body))) as server:
        answer = await server.ask("m", [])
    assert (answer.text, answer.reasoning, answer.reasoning_tokens) == ("", "Hm.", 2)
    assert answer.message == {**message, "content": ""}


async def test_an_answer_without_reasoning_and_calls_is_a_plain_message() -> None:
    async with client(in_turn(httpx.Response(200, json=GOOD))) as server:
        assert (await server.ask("m", [])).message == {"role": "assistant", "content": "yes"}


def test_a_key_that_no_header_can_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY", raising=False)
    assert key_in("KEY") is None
    monkeypatch.setenv("KEY", "sk-1")
    assert key_in("KEY") == "sk-1"
    for wrong in ("schlüssel", "sk-1\n"):
        monkeypatch.setenv("KEY", wrong)
        with pytest.raises(EvaluationError, match="The API key in KEY has characters that no header can have"):
            key_in("KEY")
