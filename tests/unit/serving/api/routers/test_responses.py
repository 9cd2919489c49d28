"""OpenAI's client on `/v1/responses` over a socket: whole and streamed answers, tool loops, errors, hang-ups."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from serving.conversation import Message, ToolCall
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import ContextTooLong, EngineFailed, Overloaded
from serving.types import Delta
from tests.support.api import END, HandEngine, app_of, client_of, running, status_and_code
from tests.support.tools import CITIES, THOUGHT, ToolEngine

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}
QUESTION: Any = {"role": "user", "content": "Where is it warmer, in Paris or in Rome?"}
CALLS = tuple(ToolCall(f"call_{i}", "get_weather", json.dumps({"city": city})) for i, city in enumerate(CITIES))
DEGREES = {"Paris": "20 in Paris", "Rome": "25 in Rome"}
ENGINES = {
    "m": ScriptedEngine("m", ScriptedAnswer("Hello to you", "A greeting."), thinking=True),
    "plain": ScriptedEngine("plain", '{"city": "Paris"}', context_tokens=100),
}


@pytest.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        running(app_of(ENGINES)) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):
        yield client


async def test_a_whole_answer(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model="m", instructions="Be kind.", input="hi", store=True)
    Response.model_validate(response.model_dump())
    assert (response.status, response.output_text, response.error) == ("completed", "Hello to you", None)
    reasoning, message = response.output
    assert reasoning.type == "reasoning"
    assert [part.text for part in reasoning.content or ()] == ["A greeting."]
    assert (message.type, response.model_extra) == ("message", {"store": False})
    assert response.usage is not None
    assert (response.usage.output_tokens, response.usage.output_tokens_details.reasoning_tokens) == (5, 2)


async def test_a_streamed_answer_is_the_whole_one(client: openai.AsyncOpenAI) -> None:
    asked: dict[str, Any] = {"model": "m", "input": "hi", "include": ["reasoning.encrypted_content"]}
    async with client.responses.stream(**asked) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert events[0].type == "response.created"
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["Hello", " to", " you"]
    assert [event.delta for event in events if event.type == "response.reasoning_text.delta"] == ["A", " greeting."]
    whole = await client.responses.create(**asked)
    assert final.output_text == whole.output_text
    assert [item.type for item in final.output] == [item.type for item in whole.output]
    assert final.usage == whole.usage


async def test_every_event_is_one_of_openais(client: openai.AsyncOpenAI) -> None:
    stream = await client.responses.with_raw_response.create(model="m", input="hi", stream=True)
    body = (await stream.http_response.aread()).decode()
    assert "[DONE]" not in body
    events = [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: ")]
    for event in events:
        EVENTS.validate_python(event)
    assert events[-1]["type"] == "response.completed"


async def test_an_answer_that_is_cut(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model="m", input="hi", max_output_tokens=3)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert (response.incomplete_details.reason, response.output_text) == ("max_output_tokens", "Hello")


async def test_a_parsed_answer(client: openai.AsyncOpenAI) -> None:
    class City(BaseModel):
        city: str

    response = await client.responses.parse(model="plain", input="hi", text_format=City)
    assert response.output_parsed == City(city="Paris")
    request = ENGINES["plain"].requests[-1]
    assert request.sampling.response_format is not None
    assert request.sampling.response_format.name == "City"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_loop(stream: bool) -> None:
    engine = ToolEngine()
    items: list[Any] = [QUESTION]
    async with (
        running(app_of({"m": engine})) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):

        async def ask() -> Response:
            if not stream:
                return await client.responses.create(model="m", input=items, tools=[WEATHER])
            async with client.responses.stream(model="m", input=items, tools=[WEATHER]) as events:
                async for _ in events:
                    pass
                return await events.get_final_response()

        first = await ask()
        calls = [item for item in first.output if item.type == "function_call"]
        assert [(call.call_id, json.loads(call.arguments)["city"]) for call in calls] == [
            (f"call_{place}", city) for place, city in enumerate(CITIES)
        ]
        items += first.output
        items += [
            {"type": "function_call_output", "call_id": call.call_id, "output": DEGREES[city]}
            for call, city in zip(calls, CITIES, strict=True)
        ]
        second = await ask()
    assert second.output_text == "It is 20 in Paris and 25 in Rome."
    assert engine.requests[1].messages == (
        Message("user", QUESTION["content"]),
        Message("assistant", "", reasoning=THOUGHT, tool_calls=CALLS),
        Message("tool", "20 in Paris", tool_call_id="call_0"),
        Message("tool", "25 in Rome", tool_call_id="call_1"),
    )


async def test_errors_have_openais_classes(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.responses.create(model="m", input="hi", previous_response_id="resp_1")
    assert (wrong.value.code, wrong.value.param) == ("unsupported_field", "previous_response_id")
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="other", input="hi")
    with pytest.raises(openai.BadRequestError) as long:
        await client.responses.create(model="plain", input="word " * 200, stream=True)
    assert long.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineFailed("m", "it is broken"), "server_error"),
        (Overloaded("Full."), "rate_limit_exceeded"),
        (ContextTooLong("m", 9, 8), "context_length_exceeded"),
    ],
)
async def test_an_error_within_a_stream_is_its_last_event(error: Exception, code: str) -> None:
    engine = HandEngine()
    engine.give(Delta("Hel"), error)
    async with running(app_of({"m": engine})) as url, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as client:
        stream = await client.responses.create(model="m", input="hi", stream=True)
        *_, last = [event async for event in stream]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert (last.response.status, last.response.error.code) == ("failed", code)


async def test_a_caller_that_leaves_ends_the_work() -> None:
    engine = HandEngine()
    async with running(app_of({"m": engine})) as url, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as client:
        engine.give(Delta("Hel"))
        stream = await client.responses.create(model="m", input="hi", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        await asyncio.wait_for(engine.closed.wait(), 60)


async def test_log_probabilities(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model="plain", input="hi", include=["message.output_text.logprobs"])
    (message,) = response.output
    assert message.type == "message"
    assert message.content[0].type == "output_text"
    assert [token.token for token in message.content[0].logprobs or ()] == ['{"city":', ' "Paris"}']


async def test_sessions_and_moa_are_those_of_chat() -> None:
    engine = ScriptedEngine("m")
    body = {"model": "m", "input": "hi", "moa": {"trace": True}}
    async with client_of(app_of({"m": engine}), **{"x-session-id": "s"}) as client:
        assert (await client.post("/v1/responses", json=body)).status_code == 200
        assert (await client.post("/v1/responses", json={**body, "prompt_cache_key": "k"})).status_code == 200
    sessions = [request.session for request in engine.requests]
    assert None not in sessions
    assert len(set(sessions)) == 2
    assert engine.requests[0].moa.trace


async def test_a_key_is_required_before_the_body_is_read() -> None:
    async with client_of(app_of({"m": HandEngine()}, api_key="key")) as client:
        assert status_and_code(await client.post("/v1/responses", content=b"{")) == (401, "invalid_api_key")


async def test_a_stream_without_an_end_fails() -> None:
    engine = HandEngine()
    engine.give(Delta("Hel"), None)
    async with client_of(app_of({"m": engine})) as client:
        response = await client.post("/v1/responses", json={"model": "m", "input": "hi", "stream": True})
    assert "response.failed" in response.text
    engine.give(Delta("Hel"), END, None)
    async with client_of(app_of({"m": engine})) as client:
        response = await client.post("/v1/responses", json={"model": "m", "input": "hi", "stream": True})
    assert "response.completed" in response.text
