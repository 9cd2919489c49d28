"""The chat endpoint of a real server on a socket: when bytes are sent, and clients that disconnect."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from serving import sse
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.types import Delta
from tests.support.api import END, HandEngine, app_of, chat, degraded_end, running

STREAM = "/v1/chat/completions"


@pytest.fixture
def engine() -> HandEngine:
    return HandEngine()


async def asked(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    """A response whose head has come, and whose body is still open."""
    request = client.build_request("POST", STREAM, json=chat(stream=True, **fields))
    return await client.send(request, stream=True)


async def until(pieces: AsyncIterator[bytes], wanted: bytes) -> bytes:
    """Everything up to and with `wanted`."""
    read = b""
    while wanted not in read:
        read += await anext(pieces)
    return read


async def test_each_token_leaves_before_the_next_is_made(engine: HandEngine) -> None:
    async with running(app_of({"m": engine})) as url, httpx.AsyncClient(base_url=url) as client:
        engine.give(Delta("one"))
        response = await asked(client)
        body = response.aiter_bytes()
        first = await until(body, b'"one"')
        assert first.index(b'"role":"assistant"') < first.index(b'"one"')
        for word in ("two", "three"):
            engine.give(Delta(word))
            await until(body, f'"{word}"'.encode())
        engine.give(END, None)
        assert (await until(body, sse.DONE)).endswith(sse.DONE)
        assert [piece async for piece in body] == []


async def test_a_slow_first_item_gets_role_and_comments(engine: HandEngine) -> None:
    app = app_of({"m": engine}, first_item_wait_s=0.01, keep_alive_s=0.01)
    async with running(app) as url, httpx.AsyncClient(base_url=url) as client:
        response = await asked(client)
        assert response.status_code == 200
        body = response.aiter_bytes()
        opening = await until(body, sse.KEEP_ALIVE)
        assert b'"role":"assistant"' in opening.partition(sse.KEEP_ALIVE)[0]
        engine.give(Delta("late"))
        await until(body, b'"late"')
        await until(body, sse.KEEP_ALIVE)  # in the middle, too
        engine.give(EngineFailed("m", "it broke"))
        ending = await until(body, sse.DONE)
        assert b'"code":"engine_failed"' in ending


async def test_an_error_within_the_wait_has_its_status(engine: HandEngine) -> None:
    app = app_of({"m": engine}, first_item_wait_s=60)
    async with running(app) as url, httpx.AsyncClient(base_url=url) as client:
        asking = asyncio.create_task(asked(client))
        await engine.asked.wait()
        engine.give(EngineFailed("m", "it broke"))
        assert (await asking).status_code == 502


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_that_leaves_while_it_waits_ends_the_work(engine: HandEngine, stream: bool) -> None:
    app = app_of({"m": engine}, max_in_flight=1)
    async with running(app) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            asking = asyncio.create_task(client.post(STREAM, json=chat(stream=stream)))
            await engine.asked.wait()
            asking.cancel()
            await asyncio.wait({asking})
        await asyncio.wait_for(engine.closed.wait(), 60)
        # And its place is free again.
        async with httpx.AsyncClient(base_url=url) as client:
            engine.give(Delta("a"), END, None)
            assert (await client.post(STREAM, json=chat())).status_code == 200


async def test_a_caller_that_leaves_in_the_middle_of_a_stream_ends_the_work(engine: HandEngine) -> None:
    async with running(app_of({"m": engine})) as url, httpx.AsyncClient(base_url=url) as client:
        engine.give(Delta("one"))
        response = await asked(client)
        await until(response.aiter_bytes(), b'"one"')
        assert not engine.closed.is_set()
        await response.aclose()
        await asyncio.wait_for(engine.closed.wait(), 60)


async def test_a_caller_that_reads_slowly_holds_the_work_up_and_loses_nothing() -> None:
    made = 0

    class Fast(HandEngine):
        async def generate(self, request: Any) -> AsyncIterator[Delta]:  # type: ignore[override]
            nonlocal made
            for _ in range(60):
                made += 1
                yield Delta("x" * 2**18)
            yield END

    async with running(app_of({"m": Fast()})) as url, httpx.AsyncClient(base_url=url) as client:
        response = await asked(client)
        await asyncio.sleep(0.2)
        assert made < 60  # sockets hold some of the 15 MiB, the send buffer one, the rest is not made yet
        body = b"".join([piece async for piece in response.aiter_bytes()])
        assert body.count(b"x") >= 60 * 2**18
        assert body.endswith(sse.DONE)


async def test_many_streams_at_once_keep_apart() -> None:
    engine = ScriptedEngine("m", lambda request: request.messages[0].content, itl_s=0.001)
    async with running(app_of({"m": engine})) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def said(number: int) -> bool:
            words = " ".join(f"{number}-{count}" for count in range(20))
            body = chat(stream=True) | {"messages": [{"role": "user", "content": words}]}
            response = await client.post(STREAM, json=body)
            return all(f'-{count}"' in response.text for count in range(20)) and f'"{number}-0"' in response.text

        assert all(await asyncio.gather(*map(said, range(50))))
    assert (engine.running, engine.cancelled) == (0, 0)


@pytest.fixture
async def client(engine: HandEngine) -> AsyncIterator[openai.AsyncOpenAI]:
    app = app_of({"m": engine}, recipes=("m",), max_in_flight=1)
    async with running(app) as url, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def test_openais_client_reads_an_answer(engine: HandEngine, client: openai.AsyncOpenAI) -> None:
    engine.give(Delta("Hi"), degraded_end("b was late."), None)
    answer = await client.chat.completions.create(**ASK, extra_body={"moa": {"trace": True}})
    assert answer.choices[0].message.content == "Hi"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 2
    assert answer.model_extra is not None
    assert answer.model_extra["moa"]["degraded"] is True
    assert answer._request_id is not None


async def test_openais_client_reads_a_stream(engine: HandEngine, client: openai.AsyncOpenAI) -> None:
    engine.give(Delta("Hi"), Delta(" you"), END, None)
    stream = await client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hi you"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 5
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


async def test_openais_client_raises_on_an_error_in_the_stream(engine: HandEngine, client: openai.AsyncOpenAI) -> None:
    engine.give(Delta("Hi"), EngineFailed("m", "it broke"))
    stream = await client.chat.completions.create(**ASK, stream=True)
    with pytest.raises(openai.APIError, match="it broke"):
        async for _ in stream:
            pass


async def test_openais_client_raises_its_own_errors(engine: HandEngine, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature") as bad:
        await client.chat.completions.create(**ASK, temperature=3)
    assert (bad.value.param, bad.value.code) == ("temperature", "invalid_request")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("x")
    busy = asyncio.create_task(client.chat.completions.create(**ASK))
    await engine.asked.wait()
    with pytest.raises(openai.RateLimitError) as full:
        await client.chat.completions.create(**ASK)
    assert full.value.response.headers["retry-after"] == "1"
    engine.give(Delta("Hi"), END, None)
    assert (await busy).choices[0].message.content == "Hi"


async def test_openais_client_lists_models(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["m"]
