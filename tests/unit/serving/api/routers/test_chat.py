"""Whole answers and streams of `POST /v1/chat/completions`, through the application in memory."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import errors
from serving.api.dialects.openai_json import usage_json
from serving.engine import Engine
from serving.engines.model import ModelEngine
from serving.engines.scripted import ScriptedEngine
from serving.runtime.shared_state import Runtime
from serving.types import Delta, GenerateRequest
from serving.usage import TokenUsage
from tests.support.api import (
    END,
    HELLO,
    HandEngine,
    app_of,
    ask,
    chat,
    chunks,
    client_of,
    degraded_end,
    drive,
    status_and_code,
    texts,
)


async def test_a_whole_answer_is_openais() -> None:
    response = await ask(app_of({"m": ScriptedEngine("m", "Hello to you")}))
    answer = response.json()
    assert response.status_code == 200
    assert answer.pop("id") == f"chatcmpl-{response.headers['x-request-id']}"
    assert answer.pop("created") > 1_700_000_000
    assert answer == {
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello to you", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


async def test_a_stream_is_role_text_finish_usage_done() -> None:
    app = app_of({"m": ScriptedEngine("m", "Hello to you")})
    response = await ask(app, stream=True, stream_options={"include_usage": True})
    role, *pieces, finish, usage, done = chunks(response)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [piece["choices"][0]["delta"]["content"] for piece in pieces] == ["Hello", " to", " you"]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 8)
    assert done == "[DONE]"
    assert len({chunk["id"] for chunk in (role, *pieces, finish, usage)}) == 1


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
async def test_streamed_or_not_the_text_is_the_engines(pieces: list[str]) -> None:
    async def answered(stream: bool) -> Any:
        engine = HandEngine()
        engine.give(*map(Delta, pieces), END, None)
        return await ask(app_of({"m": engine}), stream=stream)

    assert texts(await answered(True)) == "".join(pieces)
    assert (await answered(False)).json()["choices"][0]["message"]["content"] == "".join(pieces)


@pytest.mark.parametrize("stream", [False, True])
async def test_several_choices(stream: bool) -> None:
    response = await ask(app_of({"m": ScriptedEngine("m", "a b")}), n=3, stream=stream)
    if not stream:
        assert [choice["message"]["content"] for choice in response.json()["choices"]] == ["a b"] * 3
        return
    said = {0: "", 1: "", 2: ""}
    for chunk in chunks(response)[:-1]:
        said[chunk["choices"][0]["index"]] += chunk["choices"][0]["delta"].get("content", "")
    assert said == {0: "a b", 1: "a b", 2: "a b"}


@pytest.mark.parametrize("stream", [False, True])
async def test_logprobs_arrive(stream: bool) -> None:
    response = await ask(app_of({"m": ScriptedEngine("m", "a b")}), logprobs=True, stream=stream)
    choices = [c["choices"][0] for c in chunks(response)[:-1]] if stream else response.json()["choices"]
    tokens = [token["token"] for choice in choices if choice["logprobs"] for token in choice["logprobs"]["content"]]
    assert tokens == ["a", " b"]


async def test_only_a_streamed_answer_makes_the_engine_stream() -> None:
    engine = ScriptedEngine("m")
    app = app_of({"m": engine}, deadline_s=77)
    await ask(app)
    await ask(app, stream=True)
    assert [request.streaming for request in engine.requests] == [False, True]
    assert [request.deadline_s for request in engine.requests] == [77, 77]
    assert engine.requests[0].request_id != engine.requests[1].request_id


EARLY: list[tuple[errors.MoaError, int]] = [
    (errors.UnsupportedField("n", "not for recipes"), 400),
    (errors.ContextTooLong("m", 100, 50), 400),
    (errors.Overloaded("Full.", 2.2), 429),
    (errors.EngineFailed("m", "it broke"), 502),
    (errors.QuorumNotReached(1, 0, 2), 503),
    (errors.EngineUnavailable("m"), 503),
    (errors.DeadlineExceeded("'m'", 1), 504),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "status"), EARLY, ids=lambda value: type(value).__name__)
async def test_an_error_before_the_first_item_has_its_own_status(
    error: errors.MoaError, status: int, stream: bool
) -> None:
    response = await ask(app_of({"m": ScriptedEngine("m", error=error)}), stream=stream)
    assert response.status_code == status
    body = {"message": str(error), "type": error.type, "param": error.param, "code": error.code}
    assert response.json() == {"error": body}
    waits = {429: "3", 503: "5"}
    assert response.headers.get("retry-after") == waits.get(status)


async def test_an_error_after_the_first_item_is_a_frame_in_the_stream() -> None:
    engine = ScriptedEngine("m", "a b c", fail_after=2, error=errors.EngineFailed("m", "it broke"))
    response = await ask(app_of({"m": engine}), stream=True)
    *_, last, failure, done = chunks(response)
    assert response.status_code == 200
    assert texts(response) == "a b"
    assert last["choices"][0]["finish_reason"] is None
    assert failure["error"]["code"] == "engine_failed"
    assert failure["error"]["message"] == "The engine of 'm' failed: it broke."
    assert done == "[DONE]"


async def test_an_error_in_the_middle_fails_a_whole_answer() -> None:
    engine = ScriptedEngine("m", "a b c", fail_after=2, error=errors.EngineFailed("m", "it broke"))
    assert (await ask(app_of({"m": engine}))).status_code == 502


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_stream_is_never_passed_on_as_an_answer(stream: bool) -> None:
    response = await ask(app_of({"m": ScriptedEngine("m", "a b c", cut_after=2)}), stream=stream)
    failure = chunks(response)[-2] if stream else response.json()
    assert failure["error"]["code"] == "incomplete_generation"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_choice_that_never_finishes_is_incomplete(stream: bool) -> None:
    engine = HandEngine()
    engine.give(Delta("a", 0), Delta(index=0, finish_reason="stop", usage=TokenUsage()), None)
    response = await ask(app_of({"m": engine}), n=2, stream=stream)
    failure = chunks(response)[-2] if stream else response.json()
    assert failure["error"]["code"] == "incomplete_generation"


class Broken(Engine):
    """Fails in a way that nobody foresaw, with a secret in its words."""

    async def check_health(self) -> None: ...

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        if request.sampling.seed is not None:
            yield Delta("a")
        raise RuntimeError("password=hunter2")


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"stream": True, "seed": 1}])
async def test_an_unexpected_failure_tells_the_log_and_not_the_caller(
    fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = await ask(app_of({"m": Broken()}), **fields)
    failure = chunks(response)[-2] if response.status_code == 200 else response.json()
    assert failure["error"]["code"] == "internal_error"
    assert "hunter2" not in response.text
    assert "hunter2" in caplog.text
    assert response.headers["x-request-id"] in caplog.text
    assert (response.status_code == 200) == ("seed" in fields)


@pytest.mark.parametrize("stream", [False, True])
async def test_work_that_is_cancelled_from_below_is_an_error(stream: bool) -> None:
    engine = HandEngine()
    engine.give(asyncio.CancelledError())
    response = await ask(app_of({"m": engine}), stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "engine_failed")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_hangs_is_given_up_and_closed(stream: bool) -> None:
    engine = ScriptedEngine("m", hang=True)
    response = await ask(app_of({"m": engine}, deadline_s=0.02), stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert (engine.running, engine.cancelled) == (0, 1)


async def test_a_degraded_answer_says_so() -> None:
    engine = HandEngine()
    engine.give(degraded_end("b was late."), None, degraded_end("b was late."), None)
    app = app_of({"team": engine}, recipes=("team",))
    whole = await ask(app, model="team")
    said = {"recipe": "team", "degraded": True, "reasons": ["b was late."], "usage": usage_json(TokenUsage())}
    assert whole.json()["moa"] == said
    assert whole.headers["x-moa-degraded"] == "true"
    assert chunks(await ask(app, model="team", stream=True))[-2]["moa"] == said


@pytest.mark.parametrize("stream", [False, True])
async def test_a_single_model_can_be_traced_too(stream: bool) -> None:
    model = ModelEngine("m", ScriptedEngine("m", "a b"), Runtime({}))
    response = await ask(app_of({"m": model}), stream=stream, moa={"trace": True})
    answer = chunks(response)[-2] if stream else response.json()
    (layer,) = answer["moa"]["trace"]
    (agent,) = layer["agents"]
    assert (agent["text"], agent["outcome"], agent["usage"]["completion_tokens"]) == ("a b", "ok", 2)
    assert "x-moa-degraded" not in response.headers


async def test_beyond_its_limit_the_server_says_so_at_once_and_recovers() -> None:
    engine = HandEngine()
    app = app_of({"m": engine}, max_in_flight=1, retry_after_s=7)
    first = asyncio.create_task(ask(app))
    await engine.asked.wait()
    refused = await ask(app)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert refused.json()["error"]["code"] == "overloaded"
    assert refused.json()["error"]["type"] == "rate_limit_error"
    engine.give(Delta("a"), END, None)
    assert (await first).status_code == 200
    engine.give(Delta("b"), END, None)
    assert (await ask(app)).status_code == 200


@pytest.mark.parametrize("fields", [{"temperature": 9}, {"model": "x"}, {"stream": True, "n": 99}])
async def test_a_refused_request_reaches_no_engine_and_holds_no_place(fields: dict[str, Any]) -> None:
    engine = ScriptedEngine("m")
    app = app_of({"m": engine}, max_in_flight=1)
    for _ in range(2):
        assert (await ask(app, **fields)).status_code in (400, 404)
    assert engine.requests == []
    assert (await ask(app)).status_code == 200


async def test_an_unknown_model_is_told_which_there_are() -> None:
    response = await ask(app_of({"m": ScriptedEngine()}), model="x")
    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": "There is no model 'x'; choose one of: m.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "temperature",
    "n",
    "stop",
    "seed",
    "logprobs",
    "top_logprobs",
    "stream",
    "metadata",
    "moa",
    "response_format",
    "tools",
    "tool_choice",
    "reasoning_effort",
    "chat_template_kwargs",
)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
async def test_no_body_makes_the_server_fail(fields: dict[str, Any]) -> None:
    async with client_of(app_of({"m": ScriptedEngine()})) as client:
        response = await client.post(
            "/v1/chat/completions",
            content=json.dumps(chat(**fields)),
            headers={"content-type": "application/json"},
        )
    assert response.status_code in (200, 400)


async def test_messages_beyond_the_limit() -> None:
    response = await ask(app_of({"m": ScriptedEngine("m")}, max_messages=2), messages=HELLO * 3)
    assert status_and_code(response) == (400, "invalid_request")


async def test_a_caller_that_stops_reading_loses_its_place_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.api.streaming.SLOW_READER_S", 0.01)
    app = app_of({"m": ScriptedEngine("m")}, deadline_s=0.01, max_in_flight=1)
    asked = {"type": "http.request", "body": json.dumps(chat(stream=True)).encode()}
    sent = await drive(app, asked, reads=1)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert (await ask(app)).status_code == 200
