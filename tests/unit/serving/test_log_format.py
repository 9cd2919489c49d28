"""The server's own logs as JSON."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.log_context import CURRENT, LogContext
from serving.log_format import LOGGERS, JsonFormatter, set_log_format
from serving.trace_context import TraceContext
from tests.support.api import app_of, chat, client_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Output of the server's loggers, as JSON."""
    set_log_format("json")
    stream = io.StringIO()
    for name in LOGGERS:
        (handler,) = [one for one in logging.getLogger(name).handlers if isinstance(one.formatter, JsonFormatter)]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
    yield stream
    set_log_format("text")
    logging.getLogger("serving.requests").setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line(written: io.StringIO) -> None:
    token = CURRENT.set(LogContext("r-1", TraceContext.parse(PARENT)))
    try:
        logging.getLogger("deployments.model").warning("two\nlines %s", 3)
    finally:
        CURRENT.reset(token)
    (line,) = lines(written)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "deployments.model",
        "message": "two\nlines 3",
        "request_id": "r-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
    }


def test_a_lone_surrogate_is_replaced() -> None:
    record = logging.makeLogRecord({"name": "serving", "msg": "half %s", "args": ("\ud800",)})
    assert json.loads(JsonFormatter().format(record))["message"] == "half \ufffd"


def test_an_exception_is_a_field(written: io.StringIO) -> None:
    try:
        raise ValueError("Authorization: Bearer sk-abcdefghijklmnop")
    except ValueError:
        logging.getLogger("serving").exception("failed")
    (line,) = lines(written)
    assert "ValueError" in line["exception"]
    assert "abcdefghijklmnop" not in line["exception"]
    assert "request_id" not in line


async def test_logs_of_a_request_have_its_ids(written: io.StringIO) -> None:
    engine = ScriptedEngine("m", error=EngineFailed("m", "why"))
    app = app_of({"m": engine}, log_requests=True, log_format="json")
    async with client_of(app, traceparent=PARENT, **{"x-request-id": "mine"}) as client:
        await client.post("/v1/chat/completions", json=chat())
    found = {line["logger"]: line for line in lines(written)}
    assert set(found) == {"serving.requests", "serving.api"}
    for line in found.values():
        assert line["request_id"] == "mine"
        assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert found["serving.requests"]["outcome"] == "engine_failed", "its fields are those of the line"
    assert "message" not in found["serving.requests"]


def test_text_is_left_as_the_process_configured_it() -> None:
    set_log_format("json")
    set_log_format("text")
    for name in LOGGERS:
        assert not logging.getLogger(name).handlers
        assert logging.getLogger(name).propagate
