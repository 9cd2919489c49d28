"""Anthropic's client on `/v1/messages` over a socket: whole and streamed answers, tool loops, errors, hang-ups."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import pytest

from serving.api import ApiSettings, create_app
from serving.conversation import Message, ToolCall
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine, prompt_tokens
from serving.errors import EngineFailed, Overloaded
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import Delta
from tests.support.api import HandEngine, app_of, client_of, running
from tests.support.tools import CITIES, THOUGHT, ToolEngine

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"name": "get_weather", "description": "Weather of a city.", "input_schema": SCHEMA}
HELLO: Any = [{"role": "user", "content": "hi"}]
QUESTION: Any = {"role": "user", "content": "Where is it warmer, in Paris or in Rome?"}
CALLS = tuple(ToolCall(f"call_{i}", "get_weather", json.dumps({"city": city})) for i, city in enumerate(CITIES))
DEGREES = {"Paris": "20 in Paris", "Rome": "25 in Rome"}
ENGINES = {
    "m": ScriptedEngine("m", ScriptedAnswer("Hello to you", "A greeting."), thinking=True),
    "plain": ScriptedEngine("plain", "Hello", context_tokens=100),
}


def client_at(url: str, key: str = "any") -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0)


@pytest.fixture
async def client() -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with running(app_of(ENGINES, api_key="key")) as url, client_at(url, "key") as client:
        yield client


async def test_a_whole_answer(client: anthropic.AsyncAnthropic) -> None:
    message = await client.messages.create(model="m", max_tokens=50, messages=HELLO, system="Be kind.")
    thinking, text = message.content
    assert (thinking.type, text.type) == ("thinking", "text")
    assert (thinking.thinking, text.text) == ("A greeting.", "Hello to you")
    assert (message.stop_reason, message.stop_sequence, message.role) == ("end_turn", None, "assistant")
    assert (message.usage.output_tokens, message.id[:4]) == (5, "msg_")
    assert ENGINES["m"].requests[-1].messages == (Message("system", "Be kind."), Message("user", "hi"))


async def test_a_streamed_answer_is_the_whole_one(client: anthropic.AsyncAnthropic) -> None:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 50, "messages": HELLO}
    async with client.messages.stream(**asked) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_message()
    assert [event.text for event in events if event.type == "text"] == ["Hello", " to", " you"]
    assert [event.thinking for event in events if event.type == "thinking"] == ["A", " greeting."]
    whole = await client.messages.create(**asked)
    assert [block.model_dump(exclude={"parsed_output"}) for block in final.content] == [
        block.model_dump() for block in whole.content
    ]
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.input_tokens == whole.usage.input_tokens > 0


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"max_tokens": 3}, ["thinking", "text"]),
        ({"thinking": {"type": "disabled"}, "max_tokens": 1}, ["text"]),
    ],
)
async def test_an_answer_that_is_cut(client: anthropic.AsyncAnthropic, fields: Any, kinds: list[str]) -> None:
    message = await client.messages.create(model="m", messages=HELLO, **fields)
    assert (message.stop_reason, [block.type for block in message.content]) == ("max_tokens", kinds)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_loop(stream: bool) -> None:
    engine = ToolEngine()
    messages: list[Any] = [QUESTION]
    async with running(app_of({"m": engine})) as url, client_at(url) as client:

        async def ask() -> anthropic.types.Message:
            asked: dict[str, Any] = {"model": "m", "max_tokens": 50, "messages": messages, "tools": [WEATHER]}
            if not stream:
                return await client.messages.create(**asked)
            async with client.messages.stream(**asked) as events:
                return await events.get_final_message()

        first = await ask()
        calls = [block for block in first.content if block.type == "tool_use"]
        assert first.stop_reason == "tool_use"
        assert [(call.id, call.input) for call in calls] == [
            (f"call_{place}", {"city": city}) for place, city in enumerate(CITIES)
        ]
        messages.append({"role": "assistant", "content": first.content})
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": DEGREES[city]}
            for call, city in zip(calls, CITIES, strict=True)
        ]
        messages.append({"role": "user", "content": results})
        second = await ask()
    (text,) = second.content
    assert text.type == "text"
    assert text.text == "It is 20 in Paris and 25 in Rome."
    assert engine.requests[1].messages == (
        Message("user", QUESTION["content"]),
        Message("assistant", "", reasoning=THOUGHT, tool_calls=CALLS),
        Message("tool", "20 in Paris", tool_call_id="call_0"),
        Message("tool", "25 in Rome", tool_call_id="call_1"),
    )


async def test_errors_have_anthropics_classes(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as wrong:
        await client.messages.create(model="m", max_tokens=5, messages=HELLO, container="c")
    body: Any = wrong.value.body
    assert (body["type"], body["error"]["type"], body["error"]["param"]) == (
        "error",
        "invalid_request_error",
        "container",
    )
    assert body["request_id"] == wrong.value.response.headers["x-request-id"]
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(model="other", max_tokens=5, messages=HELLO)
    with pytest.raises(anthropic.AuthenticationError) as unknown:
        await client.with_options(api_key="wrong").messages.create(model="m", max_tokens=5, messages=HELLO)
    assert unknown.value.type == "authentication_error"
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 204 tokens > 100 maximum"):
        await client.messages.create(model="plain", max_tokens=5, messages=[{"role": "user", "content": "word " * 199}])


@pytest.mark.parametrize(
    ("error", "kind"), [(EngineFailed("m", "it is broken"), "api_error"), (Overloaded("Full."), "rate_limit_error")]
)
async def test_an_error_within_a_stream_is_raised_by_the_client(error: Exception, kind: str) -> None:
    engine = HandEngine()
    engine.give(Delta("Hel"), error)
    async with running(app_of({"m": engine})) as url, client_at(url) as client:
        stream = await client.messages.create(model="m", max_tokens=5, messages=HELLO, stream=True)
        with pytest.raises(anthropic.APIStatusError) as caught:
            async for _ in stream:
                pass
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"]


async def test_a_caller_that_leaves_ends_the_work() -> None:
    engine = HandEngine()
    async with running(app_of({"m": engine})) as url, client_at(url) as client:
        engine.give(Delta("Hel"))
        async with client.messages.stream(model="m", max_tokens=5, messages=HELLO) as stream:
            async for event in stream:
                if event.type == "text":
                    break
        await asyncio.wait_for(engine.closed.wait(), 60)


async def test_tokens_are_counted(client: anthropic.AsyncAnthropic) -> None:
    calls = len(ENGINES["m"].requests)
    counted = await client.messages.count_tokens(model="m", system="Be kind.", messages=HELLO, tools=[])
    assert counted.input_tokens == prompt_tokens((Message("system", "Be kind."), Message("user", "hi"))) == 11
    assert len(ENGINES["m"].requests) == calls  # nothing was generated


async def test_tokens_of_a_recipe_are_those_of_its_final_agent() -> None:
    models = {"a": ScriptedEngine("a"), "b": ScriptedEngine("b")}
    recipe = {"id": "team", "layers": [["a", "b"]], "aggregator": "b"}
    served = Orchestrator(models, load_recipes([recipe]))
    app = create_app(served.engines, served.cards(), ApiSettings())
    body = {"model": "team", "messages": HELLO}
    async with client_of(app) as client:
        assert (await client.post("/v1/messages/count_tokens", json=body)).json() == {"input_tokens": 5}


async def test_an_engine_without_a_tokenizer_cannot_count() -> None:
    async with client_of(app_of({"m": HandEngine()})) as client:
        response = await client.post("/v1/messages/count_tokens", json={"model": "m", "messages": HELLO})
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", "model")


async def stream_of(engine: HandEngine, **headers: str) -> httpx.Response:
    body = {"model": "m", "max_tokens": 5, "messages": HELLO, "stream": True}
    async with client_of(app_of({"m": engine}), **headers) as client:
        return await client.post("/v1/messages", json=body)


async def test_a_stream_without_an_end_fails_in_it() -> None:
    engine = HandEngine()
    engine.give(Delta("Hel"), None)
    response = await stream_of(engine, **{"x-request-id": "r-1"})
    *_, last, _ = response.text.split("\n\n")
    name, _, data = last.partition("\n")
    error = json.loads(data.removeprefix("data: "))
    assert (name, error["error"]["code"], error["request_id"]) == ("event: error", "incomplete_generation", "r-1")


async def test_the_header_of_claude_code_names_the_session() -> None:
    engine = HandEngine()
    for _ in range(2):
        engine.give(EngineFailed("m", "it is broken"))
    await stream_of(
        engine, **{"x-claude-code-session-id": "s", "anthropic-version": "2023-06-01", "anthropic-beta": "x"}
    )
    await stream_of(engine)
    named, unnamed = (request.session for request in engine.requests)
    assert (named is None, unnamed) == (False, None)
