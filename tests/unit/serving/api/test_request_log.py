"""The request log: one line per request with its outcome and caller, never its texts."""

import asyncio
import io
import json
import logging
from typing import Any

import pytest

from serving.api import request_log
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.log_format import JsonFormatter
from serving.types import Delta, Report
from serving.usage import TokenUsage
from tests.support.api import HandEngine, app_of, ask, chat, client_of

ABOUT = {"user": "user-7", "metadata": {"team": "blue"}}


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "serving.requests"]


@pytest.fixture(autouse=True)
def unset() -> Any:
    yield
    logging.getLogger("serving.requests").setLevel(logging.NOTSET)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_finished_request_is_a_line(caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    app = app_of({"m": ScriptedEngine("m", "my secret answer")}, log_requests=True, api_key="key")
    async with client_of(app, **{"x-request-id": "mine", "authorization": "Bearer key"}) as client:
        body = chat(stream=stream, **ABOUT) | {"messages": [{"role": "user", "content": "my secret question"}]}
        answer = await client.post("/v1/chat/completions", json=body)
    (line,) = lines(caplog)
    assert line.pop("seconds") > 0
    assert line.pop("id") in answer.text
    assert line == {
        "request_id": "mine",
        "trace_id": None,
        "key": "key-1",
        "model": "m",
        "kind": "model",
        "outcome": "ok",
        "degraded": False,
        "cached": False,
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 3,
            "total_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "user": "user-7",
        "metadata": {"team": "blue"},
    }
    assert "secret" not in caplog.text
    assert "Bearer" not in caplog.text


async def test_a_key_in_a_text_of_the_callers_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    key, other = "sk-of-this-caller", "sk-of-another-caller"
    keys = [{"name": name, "key": one} for name, one in (("a", key), ("b", other))]
    app = app_of({"m": ScriptedEngine("m")}, log_requests=True, keys=keys)
    metadata = {f"key {key}": f"it is {key}", "team": "blue"}
    async with client_of(app, **{"x-request-id": f"id:{key}", "authorization": f"Bearer {key}"}) as client:
        answer = await client.post("/v1/chat/completions", json=chat(user=f"a/{other}", metadata=metadata))
    assert answer.status_code == 200, answer.text
    (line,) = lines(caplog)
    assert line["user"] == "a/[redacted]"
    assert line["metadata"] == {"key [redacted]": "it is [redacted]", "team": "blue"}
    assert line["request_id"] == answer.headers["x-request-id"]
    assert key not in caplog.text
    assert other not in caplog.text


async def test_how_a_request_ended_is_said(caplog: pytest.LogCaptureFixture) -> None:
    engine = HandEngine()
    app = app_of({"team": engine}, recipes=("team",), log_requests=True)
    engine.give(Delta("a"), Delta(finish_reason="stop", usage=TokenUsage(), report=Report("team", True, ("b",), ())))
    engine.give(None, EngineFailed("m", "it broke"), ValueError("a defect"))
    for _ in range(3):
        await ask(app, model="team", user="grüße")
    engine.asked.clear()
    leaving = asyncio.create_task(ask(app, model="team"))
    await engine.asked.wait()
    leaving.cancel()
    await asyncio.wait({leaving})
    ends = [(line["outcome"], line["degraded"], line["usage"]["total_tokens"]) for line in lines(caplog)]
    assert ends == [
        ("ok", True, 0),
        ("engine_failed", False, None),
        ("internal_error", False, None),
        ("cancelled", False, None),
    ]


async def test_a_line_in_the_json_log_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Any] = []
    monkeypatch.setattr(request_log.LoggedLine, "__str__", lambda _: str(encoded.append("as a message")))
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    log = logging.Logger("serving.requests")  # detached: pytest's own handlers write messages
    log.addHandler(handler)
    monkeypatch.setattr(request_log, "logger", log)
    assert (await ask(app_of({"m": ScriptedEngine("m")}, log_requests=True), **ABOUT)).status_code == 200
    assert json.loads(written.getvalue())["metadata"] == {"team": "blue"}
    assert encoded == []


async def test_by_default_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert (await ask(app_of({"m": ScriptedEngine("m")}), **ABOUT)).status_code == 200
    assert lines(caplog) == []


def test_without_any_handler_the_log_is_written_to_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.Logger("serving.requests")  # detached: pytest's own handlers are on the root logger
    monkeypatch.setattr(request_log, "logger", log)
    for _ in range(2):
        request_log.enable()
    [handler] = log.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert log.isEnabledFor(logging.INFO)


async def test_the_line_has_the_trace_of_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    """Also where this server traces nothing: it passes the caller's context on."""
    engine = ScriptedEngine("m")
    app = app_of({"m": engine}, log_requests=True)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with client_of(app, traceparent=parent, tracestate="vendor=1") as client:
        answer = await client.post("/v1/chat/completions", json=chat())
    (line,) = lines(caplog)
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    (asked,) = engine.requests
    assert asked.trace is not None
    assert asked.trace.headers == {"traceparent": parent, "tracestate": "vendor=1"}
    assert "traceparent" not in answer.headers
