"""Classes of unbounded work that vLLM had: each number that multiplies work has a limit, checked before any of it.

CVE-2026-34756: `n` without an upper bound. CVE-2025-48956: headers of any size. CVE-2025-48887: a tool parser's regular
expression that backtracks without end (the parsers are vLLM's; here: the expressions of the API itself).
"""

import asyncio
import re
from typing import Any

import pytest

from serving.api import cors, exchange, settings
from serving.api.schemas import completions
from serving.engines.scripted import ScriptedEngine
from tests.support.api import HELLO, app_of, chat, client_of, running, status_and_code

LARGE = (129, 10**6, 2**31, 2**63, 10**30)


async def refused(path: str, body: dict[str, Any], param: str) -> None:
    engine = ScriptedEngine("m")
    async with client_of(app_of({"m": engine})) as client:
        response = await client.post(path, json=body)
    assert response.status_code == 400
    [error] = response.json().values()
    assert error["param"] == param
    assert len(error["message"]) < 500
    assert engine.requests == []


@pytest.mark.parametrize("value", LARGE)
@pytest.mark.parametrize("field", ["n", "top_logprobs"])
async def test_a_chat_multiplies_no_work(field: str, value: int) -> None:
    extra = {"logprobs": True} if field == "top_logprobs" else {}
    await refused("/v1/chat/completions", chat(**extra, **{field: value}), field)


@pytest.mark.parametrize("value", LARGE)
@pytest.mark.parametrize("field", ["n", "best_of", "logprobs"])
async def test_a_completion_multiplies_no_work(field: str, value: int) -> None:
    await refused("/v1/completions", {"model": "m", "prompt": "x", field: value}, field)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_an_answer_has_a_longest_length(field: str) -> None:
    for value in (10**9, 2**63, 10**30):
        await refused("/v1/chat/completions", chat(**{field: value}), field)


async def test_prompts_are_counted_before_any_is_computed() -> None:
    await refused("/v1/completions", {"model": "m", "prompt": ["x"] * 129}, "prompt")


async def test_messages_tools_and_stops_are_counted_before_any_is_read() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    await refused("/v1/chat/completions", {"model": "m", "messages": HELLO * 1025}, "messages")
    await refused("/v1/chat/completions", chat(tools=[tool] * 129), "tools")
    await refused("/v1/chat/completions", chat(stop=["s"] * 10_000), "stop")


async def test_a_request_for_more_than_the_operators_limit_of_calls_starts_none() -> None:
    body = {"model": "m", "messages": HELLO, "n": settings.ApiSettings().max_choices + 1}
    await refused("/v1/chat/completions", body, "n")


@pytest.mark.parametrize("size", [100_000, 2_000_000])
async def test_headers_of_any_size_cost_a_refusal(size: int) -> None:
    async with running(app_of({"m": ScriptedEngine("m", "fine")})) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-large: "
        writer.write(head + b"x" * size + b"\r\ncontent-length: 2\r\n\r\n{}")
        try:
            answer = await asyncio.wait_for(reader.read(), 60)
        except ConnectionError:  # closed while the header was still being sent
            answer = b""
        writer.close()
        async with client_of(app_of({"m": ScriptedEngine("m", "fine")})) as client:
            assert (await client.post("/v1/chat/completions", json=chat())).status_code == 200
    assert answer == b"" or answer.split(b" ")[1].startswith(b"4")


async def test_many_headers_are_not_looked_at_more_than_once() -> None:
    headers = [("x-many", str(number)) for number in range(2000)]
    async with client_of(app_of({"m": ScriptedEngine("m", "fine")})) as client:
        response = await client.post("/v1/chat/completions", json=chat(), headers=headers)
    assert response.status_code == 200


EXPRESSIONS = {
    f"{module.__name__}.{name}": value
    for module in (exchange, cors, settings, completions)
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_no_expression_of_the_api_backtracks_without_end(name: str) -> None:
    """An expression with exponential time would run into the timeout, one with linear time takes no time at all."""
    expression = EXPRESSIONS[name]
    for unit in ("a", "a.", "aa:", "://", "a-", "0", " ", "."):
        text = unit * 3000 + "\x00"
        for subject in (text, "a://" + text):
            given = subject.encode() if isinstance(expression.pattern, bytes) else subject
            assert expression.fullmatch(given) is None


async def test_a_body_that_is_refused_says_so_in_one_short_sentence() -> None:
    async with client_of(app_of({"m": ScriptedEngine("m")})) as client:
        for body in (chat(model="x" * 100_000), chat(**{"f" * 100_000: 1}), chat(user={"x": "y" * 100_000})):
            response = await client.post("/v1/chat/completions", json=body)
            assert status_and_code(response)[0] in (400, 404)
            assert len(response.text) < 1500
