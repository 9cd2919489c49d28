"""The engine of an external endpoint, over this server's own API and over scripted HTTP responses."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import errors, sse
from serving.api import ApiSettings, create_app
from serving.cards import ModelCard
from serving.conversation import Message, Thinking, Tool, ToolCall, ToolChoice
from serving.decoding import Decoding
from serving.engine import complete
from serving.engines import openai, openai_stream
from serving.engines.openai import OpenAIEngine
from serving.engines.openai_wire import to_payload
from serving.engines.scripted import ScriptedEngine
from serving.tenant import ANYONE, Tenant
from serving.trace_context import TraceContext
from serving.types import Delta, GenerateRequest, ResponseFormat, Sampling
from serving.usage import UNKNOWN_USAGE, TokenUsage
from tests.support.api import END, HandEngine, app_of, running
from tests.support.tools import THOUGHT, ToolEngine

SECRET = "sk-very-secret"


def request(deadline_s: float | None = None, **sampling: Any) -> GenerateRequest:
    messages = (Message("system", "Be brief."), Message("user", "Hello", "Ann"))
    return GenerateRequest("r1", messages, Sampling(**sampling), deadline_s=deadline_s, priority=3, user="u")


def over(app: Any, **fields: Any) -> OpenAIEngine:
    return OpenAIEngine("far", "http://far/v1/", "m", transport=httpx.ASGITransport(app), **fields)


def answering(respond: Callable[[httpx.Request], httpx.Response], **fields: Any) -> OpenAIEngine:
    return OpenAIEngine("far", "http://far/v1", transport=httpx.MockTransport(respond), **fields)


def event(value: object) -> bytes:
    return sse.event(json.dumps(value).encode())


def chunk(content: object = None, finish_reason: object = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}], **fields}


def streaming(*events: bytes) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(200, content=b"".join(events))


async def failure(engine: OpenAIEngine, asked: GenerateRequest | None = None) -> errors.MoaError:
    with pytest.raises(errors.MoaError) as caught:
        await complete("far", engine, asked or request())
    return caught.value


async def test_an_answer_comes_through_with_usage_and_timing() -> None:
    near = ScriptedEngine("m", "Hello to you")
    deltas = [delta async for delta in over(app_of({"m": near})).generate(request(max_tokens=2))]
    assert [delta.text for delta in deltas] == ["Hello", " to", ""]
    last = deltas[-1]
    assert (last.finish_reason, last.usage) == ("length", TokenUsage(11, 2, 0))
    assert last.timing is not None
    assert last.timing.ttft_s is not None


async def test_an_endpoint_gets_the_trace_of_the_call() -> None:
    near = ScriptedEngine("m", "Hello")
    far = over(app_of({"m": near}))
    trace = TraceContext(2, 3, sampled=True, state="vendor=1")
    await complete("far", far, replace(request(), trace=trace))
    await complete("far", far, request())
    assert [asked.trace for asked in near.requests] == [trace, None]


async def test_the_operators_limit_holds_where_the_caller_gives_none() -> None:
    near = ScriptedEngine("m", "Hello to you")
    limited = replace(request(), token_cap=2)
    assert (await complete("far", over(app_of({"m": near})), limited)).text == "Hello to"
    limited = replace(request(max_tokens=1), token_cap=2)
    assert (await complete("far", over(app_of({"m": near})), limited)).text == "Hello"


async def test_an_endpoint_that_lacks_n_is_not_asked_for_several_choices() -> None:
    near = ScriptedEngine("m")
    one_choice = over(app_of({"m": near}), unsupported=frozenset({"n"}))
    assert str(await failure(one_choice, request(n=2))) == "Remove 'n': the endpoint of 'far' returns one choice."
    assert not near.requests


async def test_what_was_asked_arrives_and_what_is_ours_stays() -> None:
    sampling = Sampling(
        temperature=0.0,
        top_p=0.5,
        max_tokens=7,
        stop=("x", "y"),
        seed=0,
        n=2,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=0,
        response_format=ResponseFormat("json_schema", "x", {"type": "object"}),
        top_k=0,
        min_p=0.0,
        repetition_penalty=1.5,
        ignore_eos=True,
        min_tokens=1,
    )
    near = ScriptedEngine("m")
    asked = GenerateRequest("r1", request().messages, sampling, priority=3, user="u", metadata={"a": "b"})
    await complete("far", over(app_of({"m": near})), asked)
    (arrived,) = near.requests
    assert arrived.sampling == sampling
    assert arrived.messages == asked.messages
    assert (arrived.priority, arrived.user, arrived.metadata) == (0, None, {})


async def test_only_what_is_set_is_sent() -> None:
    sent: list[dict[str, Any]] = []

    def respond(got: httpx.Request) -> httpx.Response:
        sent.append(json.loads(got.content))
        return httpx.Response(200, content=event(chunk("a", "stop")) + sse.DONE)

    await complete("far", answering(respond, max_tokens_field="max_completion_tokens"), request(max_tokens=5))
    assert sent == [
        {
            "model": "far",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello", "name": "Ann"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": 5,
        }
    ]


async def test_a_bias_of_tokens_is_sent() -> None:
    asked = request(decoding=Decoding(logit_bias=((5, -1.5),)), response_format=ResponseFormat("json_object"))
    assert to_payload(asked, "m", "max_tokens")["logit_bias"] == {"5": -1.5}
    near = ScriptedEngine("m", "Hello")
    await complete("far", over(app_of({"m": near})), asked)
    assert near.requests[0].sampling.decoding == asked.sampling.decoding


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sampling": Sampling(decoding=Decoding(stop_token_ids=(1,)))}, "stop_token_ids"),
        ({"sampling": Sampling(decoding=Decoding(skip_special_tokens=False))}, "skip_special_tokens"),
        ({"sampling": Sampling(response_format=ResponseFormat("regex", rule="a"))}, "structured_outputs.regex"),
        ({"prompt_end": "continued"}, "continue_final_message"),
        ({"prompt_end": "message"}, "add_generation_prompt"),
        ({"cache_salt": "s"}, "cache_salt"),
    ],
    ids=str,
)
async def test_what_openais_api_does_not_have_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    near = ScriptedEngine("m", "Hello")
    error = await failure(over(app_of({"m": near})), replace(request(), **changes))
    assert isinstance(error, errors.UnsupportedField)
    assert error.field == field
    assert not near.requests


async def test_choices_and_logprobs_come_through() -> None:
    engine = over(app_of({"m": ScriptedEngine("m", "é b", logprob=-0.5)}))
    answer = await complete("far", engine, request(n=2, logprobs=1))
    assert [choice.text for choice in answer.choices] == ["é b", "é b"]
    for choice in answer.choices:
        assert choice.logprobs is not None
        assert [(token.token, token.logprob, token.token_bytes) for token in choice.logprobs] == [
            ("é", -0.5, "é".encode()),
            (" b", -0.5, b" b"),
        ]


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
async def test_any_text_comes_through(pieces: list[str]) -> None:
    near = HandEngine()
    near.give(*map(Delta, pieces), END, None)
    answer = await complete("far", over(app_of({"m": near})), request())
    assert answer.text == "".join(pieces)


TOOL = Tool("get_weather", "Weather of a city.", {"type": "object"})
HISTORY = (
    Message("user", "Hello"),
    Message("assistant", "", reasoning="Hm.", tool_calls=(ToolCall("c1", "get_weather", "{}"),)),
    Message("tool", "sunny", tool_call_id="c1"),
)


async def test_a_tool_loop_comes_through() -> None:
    near = ToolEngine()
    engine = over(app_of({"m": near}))
    first = replace(request(), messages=HISTORY[:1], tools=(TOOL,))
    answer = await complete("far", engine, first)
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.reasoning) == ("", "tool_calls", THOUGHT)
    assert [call.id for call in choice.tool_calls] == ["call_0", "call_1"]
    assert answer.usage == TokenUsage(10, 12, 0, 4)
    second = replace(first, messages=HISTORY, tool_choice=ToolChoice("named", "get_weather"))
    thinking = replace(second, thinking=Thinking(True, "low", 7), template_args={"a": 1}, parallel_tool_calls=False)
    assert (await complete("far", engine, thinking)).text == "It is sunny."
    arrived = near.requests[1]
    for name in ("messages", "tools", "tool_choice", "parallel_tool_calls", "thinking", "template_args"):
        assert getattr(arrived, name) == getattr(thinking, name)


async def test_only_what_is_asked_of_tools_and_thinking_is_sent() -> None:
    asked = replace(request(), messages=HISTORY, tools=(Tool("f"),))
    payload = to_payload(asked, "far", "max_tokens")
    assert set(payload) == {"model", "messages", "stream", "stream_options", "tools"}
    assert payload["tools"] == [{"type": "function", "function": {"name": "f"}}]
    function = {"name": "get_weather", "arguments": "{}"}
    calls = [{"id": "c1", "type": "function", "function": function}]
    assert payload["messages"][1:] == [
        {"role": "assistant", "content": None, "tool_calls": calls, "reasoning_content": "Hm."},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]
    strict = replace(asked, tools=(Tool("f", strict=True),), tool_choice=ToolChoice("required"))
    payload = to_payload(strict, "far", "max_tokens")
    assert payload["tools"][0]["function"]["strict"] is True
    assert payload["tool_choice"] == "required"
    loose = replace(asked, tools=(Tool("f", strict=False),))
    assert to_payload(loose, "far", "max_tokens")["tools"][0]["function"]["strict"] is False
    assert to_payload(replace(asked, thinking=Thinking(False)), "far", "max_tokens")["reasoning_effort"] == "none"


async def test_an_endpoint_without_thinking_is_sent_nothing_about_it() -> None:
    asked = replace(request(), messages=HISTORY, thinking=Thinking(True, "high", 5))
    payload = to_payload(asked, "far", "max_tokens", thinking=False)
    assert set(payload) == {"model", "messages", "stream", "stream_options"}
    assert "reasoning_content" not in payload["messages"][1]


async def test_an_endpoint_without_tools_is_not_asked_for_calls() -> None:
    near = ToolEngine()
    engine = over(app_of({"m": near}), tools=False, thinking=False)
    assert (engine.info.tools, engine.info.thinking) == (False, False)
    error = await failure(engine, replace(request(), tools=(TOOL,)))
    assert str(error) == "Remove 'tools': the endpoint of 'far' does not support tools."
    assert not near.requests


def calls(*pieces: dict[str, Any], reason: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"tool_calls": pieces}, "finish_reason": reason}]})


def piece(arguments: object = None, name: str | None = None, **fields: Any) -> dict[str, Any]:
    return {**fields, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    "events",
    [
        [calls(piece("{", "f", index=0, id="a")), calls(piece("}", index=0), piece("{}", "g", index=1, id="b"))],
        [calls(piece("{}", "f", id="a"), piece("{}", "g", id="b"))],  # no index, whole calls
        [calls(piece("{}", "f", id="a", index=0)), calls(piece("{}", "g", id="b", index=0))],  # one index
        [
            calls(piece("{", "f", id="a", index=1)),
            calls(piece("}", "f", id="a", index=1), piece("{}", "g", id="b", index=4)),
        ],
        [calls(piece(None, "f", id="a")), calls(piece("{}")), calls(piece("{}", "g", id="b"))],  # no index
        [calls(piece("{", "f", index=0, id="a"), piece("}", "f", index=0)), calls(piece("{}", "g", index=1, id="b"))],
    ],
)
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
async def test_tool_calls_of_all_kinds_of_endpoints_are_read(events: list[bytes], reason: str) -> None:
    engine = answering(streaming(*events, event(chunk(None, reason)), sse.DONE))
    (choice,) = (await complete("far", engine, request())).choices
    assert choice.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))
    assert choice.finish_reason == "tool_calls"


async def test_a_call_without_an_id_gets_one() -> None:
    engine = answering(streaming(calls(piece("{}", "f"), piece("{}", "f"), reason="tool_calls"), sse.DONE))
    (choice,) = (await complete("far", engine, request())).choices
    ids = [call.id for call in choice.tool_calls]
    assert len(set(ids)) == 2
    assert all(given.startswith("call_") for given in ids)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_read_under_both_names(name: str) -> None:
    deltas = [{name: "Hm", "content": None}, {name: ".", "content": "a"}]
    events = [event({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    engine = answering(streaming(*events, event(chunk(None, "stop")), sse.DONE))
    (choice,) = (await complete("far", engine, request())).choices
    assert (choice.text, choice.reasoning) == ("a", "Hm.")


async def test_a_prefill_calls_nobody() -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        raise AssertionError("called")

    await answering(respond).prefill(request(), "<here>")


@pytest.mark.parametrize(
    ("raised", "expected", "says"),
    [
        (errors.InvalidRequest("Lower 'x'.", "x"), errors.InvalidRequest, "Lower 'x'."),
        (errors.Overloaded("Full.", 7), errors.Overloaded, "too many requests"),
        (errors.EngineFailed("m", "it broke"), errors.EngineFailed, "status 502"),
        (errors.DeadlineExceeded("'m'", 1), errors.EngineFailed, "status 504"),
        (errors.EngineUnavailable("m"), errors.EngineUnavailable, "status 503"),
    ],
)
async def test_refusals_keep_their_meaning(raised: errors.MoaError, expected: type[Exception], says: str) -> None:
    error = await failure(over(app_of({"m": ScriptedEngine("m", error=raised)})))
    assert type(error) is expected
    assert says in str(error)
    assert error.retry_after_s == (7.0 if expected is errors.Overloaded else expected.retry_after_s)
    assert error.param == raised.param


@pytest.mark.parametrize(
    "message",
    [
        str(errors.ContextTooLong("m", 900, 800, 64)),
        str(errors.ContextTooLong("m", 900, 800, 64, at_least=True)),
        "This model's maximum context length is 800 tokens. However, you requested 964 tokens (900 in the messages, 64 "
        "in the completion).",
        "This model's maximum context length is 800 tokens. However, you requested 64 output tokens and your prompt "
        "contains at least 900 input tokens, for a total of at least 964 tokens.",
        "This model's maximum context length is 800 tokens. However, your messages resulted in 900 tokens.",
    ],
)
async def test_a_prompt_too_long_keeps_its_numbers(message: str) -> None:
    engine = answering(lambda _: httpx.Response(400, json={"error": {"message": message}}))
    error = await failure(engine, request(max_tokens=64))
    assert isinstance(error, errors.ContextTooLong)
    assert (error.prompt_tokens, error.context_tokens, error.max_tokens) == (900, 800, 64)


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (400, b"<html>", "invalid_request", "refused the request."),
        (400, b'{"message": "No."}', "invalid_request", "refused the request: No."),
        (400, b'{"error": "No."}', "invalid_request", "refused the request: No."),
        (422, b"[]", "invalid_request", "refused the request."),
        (
            401,
            f'{{"error": {{"message": "bad key {SECRET}"}}}}'.encode(),
            "engine_failed",
            "does not accept the API key",
        ),
        (403, b"", "engine_failed", "does not accept the API key (status 403)"),
        (404, b'{"error": {"message": "no model"}}', "engine_failed", "status 404."),
        (302, b"", "engine_failed", "status 302"),
        (500, b"oops", "engine_failed", "status 500"),
        (503, b"", "engine_unavailable", "status 503"),
    ],
)
async def test_every_status_is_an_error_of_ours(status: int, body: bytes, code: str, says: str) -> None:
    error = await failure(answering(lambda _: httpx.Response(status, content=body)))
    assert error.code == code
    assert says in str(error)
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("2.5", 2.5),
        ("0", 0.1),
        ("1e9", 3600.0),
        ("soon", 1.0),
        (None, 1.0),
        ("nan", 1.0),
        ("inf", 1.0),
        ("-inf", 1.0),
        ("-3", 1.0),
        ("", 1.0),
        ("9" * 400, 1.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Sun, 99 Foo 2000 99:99:99 GMT", 1.0),
    ],
)
async def test_how_long_to_wait_is_passed_on_within_reason(value: str | None, wait_s: float) -> None:
    headers = {} if value is None else {"retry-after": value}
    error = await failure(answering(lambda _: httpx.Response(429, headers=headers)))
    assert error.retry_after_s == wait_s


OK = [event(chunk("a")), event(chunk(None, "stop"))]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([], "incomplete_generation"),
        ([sse.DONE], "incomplete_generation"),
        ([OK[0], sse.DONE], "incomplete_generation"),  # no finish reason
        ([OK[0], event({"error": {"message": "it broke", "code": 500}}), sse.DONE], "engine_failed"),
        ([OK[0], event({"error": "it broke"})], "engine_failed"),
        ([OK[0], event({"error": {"message": "slow", "code": 429}})], "overloaded"),
        ([OK[0], event({"error": {"message": "late", "code": "deadline_exceeded"}})], "engine_failed"),
        ([b"data: {\n\n"], "engine_failed"),
        ([b"data: []\n\n"], "engine_failed"),
        ([event({"choices": 3})], "engine_failed"),
        ([event({"choices": [3]})], "engine_failed"),
        ([event(chunk(3))], "engine_failed"),
        ([event({"choices": [{"delta": {"reasoning": 3}}]})], "engine_failed"),
        ([calls(piece("{}"))], "engine_failed"),  # no name
        ([calls(piece("{}", "f", index=[]))], "engine_failed"),
        ([calls(piece({}, "f"))], "engine_failed"),
        ([event(chunk(None, "tool_calls")), sse.DONE], "engine_failed"),
        ([event({"choices": [{"index": 0, "delta": {}, "logprobs": {"content": [{}]}}]})], "engine_failed"),
    ],
)
async def test_a_bad_stream_is_never_an_answer(events: list[bytes], code: str) -> None:
    assert (await failure(answering(streaming(*events)))).code == code


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2}, TokenUsage(1, 2, None, None)),
        (
            {"prompt_tokens": 1, "completion_tokens": None, "prompt_tokens_details": None},
            TokenUsage(1, None, None, None),
        ),
        ({"prompt_tokens": "1", "prompt_tokens_details": {"cached_tokens": 1}}, TokenUsage(None, None, 1, None)),
        ({"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}, TokenUsage(None, 9, None, 4)),
        (None, UNKNOWN_USAGE),
    ],
)
async def test_a_count_that_is_not_given_is_lost_and_not_zero(usage: Any, wanted: TokenUsage) -> None:
    engine = answering(streaming(*OK, event({"choices": [], "usage": usage}), sse.DONE))
    assert (await complete("far", engine, request())).usage == wanted


async def test_what_an_endpoint_has_cached_is_not_told_to_one_of_several_tenants() -> None:
    """The endpoint sees one caller. Nothing of the tenant is sent."""
    sent: list[httpx.Request] = []

    def recorded(asked: httpx.Request) -> httpx.Response:
        sent.append(asked)
        return streaming(*OK, event({"choices": [], "usage": usage}), sse.DONE)(asked)

    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}
    for tenant, cached in ((Tenant("a", isolated=True), None), (Tenant("a"), 8), (ANYONE, 8)):
        answer = await complete("far", answering(recorded), replace(request(), tenant=tenant))
        assert answer.usage.cached_tokens == cached
        assert not {"cache_salt", "tenant", "priority"} & {*json.loads(sent[-1].content)}


async def test_what_comes_after_done_is_not_read_as_an_answer() -> None:
    engine = answering(streaming(*OK, sse.DONE, event(chunk("more"))))
    assert (await complete("far", engine, request())).text == "a"


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (httpx.ConnectError("refused"), "engine_unavailable"),
        (httpx.ConnectTimeout("slow"), "engine_unavailable"),
        (httpx.PoolTimeout("full"), "overloaded"),
        (httpx.ReadTimeout("silent"), "deadline_exceeded"),
        (httpx.ReadError("cut"), "engine_failed"),
        (httpx.RemoteProtocolError("nonsense"), "engine_failed"),
    ],
)
async def test_what_the_network_does_is_an_error_of_ours(raised: Exception, code: str) -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        raise raised

    assert (await failure(answering(respond))).code == code


async def test_a_deadline_ends_the_wait_for_head_and_body() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield OK[0]
        await asyncio.Event().wait()

    async def silent(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    for respond in (silent, lambda _: httpx.Response(200, content=never())):
        engine = OpenAIEngine("far", "http://far/v1", transport=httpx.MockTransport(respond))
        error = await failure(engine, request(deadline_s=0.02))
        assert isinstance(error, errors.DeadlineExceeded)
        assert error.args == ("'far'", 0.02)


async def test_closing_the_stream_ends_the_work_far_away() -> None:
    near = HandEngine()
    async with running(app_of({"m": near})) as url:
        engine = OpenAIEngine("far", f"{url}/v1", "m")
        near.give(Delta("a"))
        async with aclosing(engine.generate(request())) as stream:
            assert (await anext(stream)).text == "a"
        await asyncio.wait_for(near.closed.wait(), 60)
        await engine.aclose()


async def test_a_connection_is_used_again() -> None:
    peers = set()
    app = app_of({"m": ScriptedEngine("m")})

    async def spying(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            peers.add(tuple(scope["client"]))
        await app(scope, receive, send)

    async with running(spying) as url:
        engine = OpenAIEngine("far", f"{url}/v1", "m")
        for _ in range(3):
            await complete("far", engine, request())
        await engine.aclose()
    assert len(peers) == 1


async def test_health() -> None:
    await over(app_of({"m": ScriptedEngine()})).check_health()
    for status in (401, 500):
        with pytest.raises(errors.EngineUnavailable, match=f"status {status}"):
            await answering(lambda _, status=status: httpx.Response(status)).check_health()

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(errors.EngineUnavailable, match=r"cannot be reached \(ConnectError\)"):
        await answering(refuse).check_health()


async def test_the_key_is_sent_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FAR_KEY", SECRET)
    app = create_app({"m": ScriptedEngine("m")}, [ModelCard("m", "model")], ApiSettings(api_key=SECRET))
    with caplog.at_level(logging.DEBUG):
        engine = over(app, api_key_env="FAR_KEY")
        assert (await complete("far", engine, request())).text == "ok"
        monkeypatch.setenv("FAR_KEY", SECRET + "-wrong")
        error = await failure(over(app, api_key_env="FAR_KEY"))
    assert "does not accept the API key (status 401)" in str(error)
    for shown in (repr(engine), str(error), caplog.text):
        assert SECRET not in shown


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_key_that_is_not_there_is_found_at_start(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("FAR_KEY", value)
    with pytest.raises(errors.ConfigError, match="Set the environment variable FAR_KEY"):
        OpenAIEngine("far", "http://far/v1", api_key_env="FAR_KEY")


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(errors.ConfigError, match="Change the base_url of 'far': remove the password"):
        OpenAIEngine("far", "http://me:hunter2@far/v1")


async def test_more_choices_than_were_asked_for_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[object] = []
    monkeypatch.setattr(openai_stream, "finish_reason", read.append)
    error = await failure(answering(streaming(event({"choices": [{}] * 3}))), request(n=2))
    assert "it has 3 choices, but 2 were asked for" in str(error)
    assert read == []


async def test_more_tool_calls_than_a_model_makes_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[object] = []
    monkeypatch.setattr(openai_stream, "ToolCallDelta", read.append)
    error = await failure(answering(streaming(calls(*[piece("", "f", index=0)] * (openai_stream.MAX_CALLS + 1)))))
    assert "it has 1025 tool calls, more than 1024" in str(error)
    assert read == []


@pytest.mark.parametrize(("size", "here"), [(10, True), (openai.LARGE_EVENT_BYTES, False)])
async def test_a_large_event_is_read_beside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, size: int, here: bool
) -> None:
    threads: list[int] = []

    def reason(given: object) -> Any:
        threads.append(threading.get_ident())
        return given

    monkeypatch.setattr(openai_stream, "finish_reason", reason)
    answer = await complete("far", answering(streaming(event(chunk("a" * size, "stop")), sse.DONE)), request())
    assert (answer.text, answer.choices[0].finish_reason) == ("a" * size, "stop")
    assert [one == threading.get_ident() for one in threads] == [here]
    assert answer.timing.ttft_s is not None


# -- what endpoints do beside the standard ---------------------------------------------------------------------------


async def test_choices_are_told_apart_and_counted() -> None:
    def two(*ends: int) -> list[bytes]:
        texts = [event({"choices": [{"index": i, "delta": {"content": text}}]}) for i, text in ((1, "b"), (0, "a"))]
        return [*texts, *(event({"choices": [{"index": i, "finish_reason": "stop"}]}) for i in ends)]

    answer = await complete("far", answering(streaming(*two(0, 1))), request(n=2))  # no [DONE]: all have ended
    assert [choice.text for choice in answer.choices] == ["a", "b"]
    for events in (two(0), [*two(1), sse.DONE]):
        assert (await failure(answering(streaming(*events)), request(n=2))).code == "incomplete_generation"
    error = await failure(answering(streaming(event({"choices": [{"index": 2}]}))), request(n=2))
    assert "the choice index 2 is not one of 0 to 1" in str(error)


async def test_a_finished_answer_does_not_wait_for_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "DRAIN_S", 1000)
    open_ends = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        for one in (*OK, sse.DONE):
            yield one
        open_ends.set()
        await asyncio.Event().wait()

    engine = answering(lambda _: httpx.Response(200, content=body()))
    answer = await asyncio.wait_for(complete("far", engine, request()), 60)
    assert answer.text == "a"
    assert open_ends.is_set()
    [draining] = engine._draining
    assert not draining.done()
    await engine.aclose()
    assert draining.cancelled()


async def test_an_answer_without_done_and_usage_is_not_waited_for_long() -> None:
    async def body() -> AsyncIterator[bytes]:
        for one in OK:
            yield one
        await asyncio.Event().wait()

    engine = answering(lambda _: httpx.Response(200, content=body()), usage_wait_s=0.01)
    answer = await asyncio.wait_for(complete("far", engine, request()), 60)
    assert (answer.text, answer.usage) == ("a", UNKNOWN_USAGE)


async def test_usage_after_the_last_choice_is_waited_for_and_ends_the_answer() -> None:
    async def body() -> AsyncIterator[bytes]:
        for one in OK:
            yield one
        await asyncio.sleep(0.01)
        yield event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
        await asyncio.Event().wait()

    engine = answering(lambda _: httpx.Response(200, content=body()), usage_wait_s=60)
    answer = await asyncio.wait_for(complete("far", engine, request()), 60)
    assert answer.usage == TokenUsage(1, 2, None, None)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("whatever", "stop"),
        (7, "stop"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("safety", "content_filter"),
        ("tool_calls", "stop"),  # without a call
        ("function_call", "stop"),
    ],
)
async def test_foreign_finish_reasons_keep_the_answer(given: object, wanted: str) -> None:
    answer = await complete("far", answering(streaming(event(chunk("a", given)), sse.DONE)), request())
    assert (answer.text, answer.choices[0].finish_reason) == ("a", wanted)


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({"prompt_tokens": -1, "completion_tokens": 2}, TokenUsage(None, 2, None, None)),
        ({"prompt_tokens": True, "completion_tokens": 1e3}, UNKNOWN_USAGE),
        ({"prompt_tokens": 2**70, "completion_tokens": 0}, TokenUsage(None, 0, None, None)),
        (
            {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
            TokenUsage(3, 2, None, None),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": -4}},
            TokenUsage(3, 2, None, None),
        ),
    ],
)
async def test_a_count_that_cannot_be_is_unknown_and_never_zero(usage: Any, wanted: TokenUsage) -> None:
    engine = answering(streaming(*OK, event({"choices": [], "usage": usage}), sse.DONE))
    assert (await complete("far", engine, request())).usage == wanted


async def test_halves_of_characters_are_joined_in_every_field() -> None:
    def delta(**fields: Any) -> bytes:
        return event({"choices": [{"index": 0, "delta": fields}]})

    high, low = "\ud83d", "\ude00"
    engine = answering(
        streaming(
            delta(content="a" + high, reasoning="r" + high),
            delta(content=low),
            delta(reasoning=low + high),
            calls(piece("{" + high, "f", id="c1")),
            calls(piece(low + "}" + high)),
            event(chunk(high, "tool_calls")),
            sse.DONE,
        )
    )
    [choice] = (await complete("far", engine, request())).choices
    assert (choice.text, choice.reasoning) == ("a😀\ufffd", "r😀\ufffd")
    assert choice.tool_calls == (ToolCall("c1", "f", "{😀}\ufffd"),)


@pytest.mark.parametrize("key", ["sk-hidden-key\nx: y", "sk-hidden-k\u00e9y", "sk-hidden\x7fkey"])
def test_a_key_that_no_header_can_hold_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("FAR_KEY", key)
    with pytest.raises(errors.ConfigError) as caught:
        OpenAIEngine("far", "http://far/v1", api_key_env="FAR_KEY")
    assert str(caught.value).startswith("Change the environment variable FAR_KEY: the API key of 'far' has ")
    assert "sk-hidden" not in str(caught.value)


def test_an_address_that_is_none_is_refused_at_start() -> None:
    with pytest.raises(errors.ConfigError, match="base_url of 'far': write a URL such as"):
        OpenAIEngine("far", "http://far:port/v1")


async def test_a_text_of_httpx_reaches_the_log_without_secrets_and_callers_not_at_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FAR_KEY", SECRET)

    def respond(_: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError(f"Illegal header value b'{SECRET}' at http://me:pass@far")

    engine = answering(respond, api_key_env="FAR_KEY")
    assert str(await failure(engine)) == (
        "The engine of 'far' failed: the connection to its endpoint failed (LocalProtocolError)."
    )
    with pytest.raises(errors.EngineUnavailable, match=r"cannot be reached \(LocalProtocolError\)\.$"):
        await engine.check_health()
    assert caplog.text.count("Illegal header value b'[redacted]' at http://[redacted]@far") == 2


async def test_a_body_is_not_asked_for_compressed() -> None:
    sent: list[httpx.Request] = []

    def respond(got: httpx.Request) -> httpx.Response:
        sent.append(got)
        return httpx.Response(200, content=b"".join(OK) + sse.DONE)

    await complete("far", answering(respond), request())
    assert sent[0].headers["accept-encoding"] == "identity"
