"""Streams as servers send them, and the exchanges built from them."""

import json
from typing import Any

import pytest

from loadtest.results.exchange import Exchange
from loadtest.results.exchange_builder import INCOMPLETE, ExchangeBuilder
from serving import sse


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish}], **more}).encode() + b"\n\n"


def read(*lines: tuple[float, bytes], end: float = 10.0, streamed: bool = True) -> Exchange:
    builder = ExchangeBuilder("streaming", "m", streamed, sent=1.0, status=200)
    for now, line in lines:
        builder.feed(line, now)
    return builder.build(end, started=0.5)


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}\n\n'
DONE = sse.DONE
END = ((4.0, chunk({}, "stop")), (4.0, USAGE), (4.0, DONE))


def test_a_stream_s_moments() -> None:
    found = read(
        (1.5, sse.KEEP_ALIVE),
        (2.0, chunk({"role": "assistant", "content": ""})),
        (2.5, chunk({"reasoning_content": "hm"})),
        (3.0, chunk({"content": "a"})),
        (3.25, chunk({"content": "b c"})),
        *END,
        end=4.5,
    )
    assert found.error is None
    assert found.sent_s == 0.5
    assert (found.first_frame_s, found.first_token_s, found.first_answer_s) == (1.0, 1.5, 2.0)
    assert found.gaps_s == (0.25,)
    assert found.total_s == 3.5
    assert (found.prompt_tokens, found.team_tokens, found.answer_tokens) == (5, 3, 3)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ((3.0, chunk({"content": "a"})),),
        ((3.0, chunk({"content": "a"})), (4.0, DONE)),  # no reason why it ended
        ((3.0, chunk({"content": "a"}, "stop")),),  # no end mark
    ],
)
def test_a_stream_without_its_end_is_an_error(lines: tuple[tuple[float, bytes], ...]) -> None:
    assert read(*lines).error == INCOMPLETE


def test_an_error_in_the_stream_is_its_kind_and_stays() -> None:
    frame = b'data: {"error": {"message": "gone", "code": "engine_failed"}}\n\n'
    assert read((3.0, chunk({"content": "a"})), (3.5, frame), *END).error == "200 engine_failed"


@pytest.mark.parametrize("line", [b"data: {broken\n\n", b"data: 5\n\n"])
def test_a_malformed_frame_is_an_error(line: bytes) -> None:
    assert read((3.0, line), *END).error == "malformed frame"


def test_frames_may_arrive_cut_anywhere() -> None:
    wire = chunk({"content": "a"}) + chunk({"content": "b"}, "stop") + USAGE + DONE
    builder = ExchangeBuilder("streaming", "m", True, sent=1.0, status=200)
    for number in range(len(wire)):
        builder.feed(wire[number : number + 1], 2.0)
    assert (builder.build(3.0, 0.0).error, builder.text) == (None, ["a", "b"])


TRACE = {
    "recipe": "moa-lite",
    "degraded": True,
    "trace": [
        {"layer": 1, "agents": [{"outcome": "ok", "usage": {"completion_tokens": 50}}]},
        {
            "layer": 2,
            "agents": [
                {"outcome": "ok", "usage": {"completion_tokens": 7}},
                {"outcome": "failed", "usage": {"completion_tokens": 2}},
            ],
        },
    ],
}


def moa(value: dict[str, Any]) -> bytes:
    usage = {"prompt_tokens": 90, "completion_tokens": 59}
    return b"data: " + json.dumps({"choices": [], "usage": usage, "moa": value}).encode() + b"\n\n"


def test_a_team_s_answer_counts_its_own_tokens_from_the_trace() -> None:
    found = read((3.0, chunk({"content": "a"})), (4.0, chunk({}, "stop")), (4.0, moa(TRACE)), (4.0, DONE))
    assert (found.answer_tokens, found.team_tokens, found.degraded) == (7, 59, True)


UNTRACED = {"recipe": "moa-lite", "degraded": True, "reasons": []}
SUM = {"prompt_tokens": 90, "completion_tokens": 59}


def test_a_team_s_answer_counts_itself_by_its_usage_and_the_team_by_that_of_moa() -> None:
    frame = {"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 7}, "moa": {**UNTRACED, "usage": SUM}}
    data = b"data: " + json.dumps(frame).encode() + b"\n\n"
    found = read((3.0, chunk({"content": "a"})), (4.0, chunk({}, "stop")), (4.0, data), (4.0, DONE))
    assert (found.answer_tokens, found.team_tokens, found.prompt_tokens) == (7, 59, 90)


@pytest.mark.parametrize(("trace", "tokens"), [(True, 7), (False, None)])
def test_a_server_that_reports_the_team_s_usage_needs_a_trace(trace: bool, tokens: int | None) -> None:
    both = {**(TRACE if trace else UNTRACED), "usage": SUM}
    found = read((3.0, chunk({"content": "a"})), (4.0, chunk({}, "stop")), (4.0, moa(both)), (4.0, DONE))
    assert (found.answer_tokens, found.team_tokens) == (tokens, 59)


def test_a_team_s_answer_without_a_trace_has_unknown_tokens() -> None:
    found = read((3.0, chunk({"content": "a"})), (4.0, chunk({}, "stop")), (4.0, moa(UNTRACED)), (4.0, DONE))
    assert (found.answer_tokens, found.team_tokens) == (None, 59)


def test_a_whole_answer() -> None:
    builder = ExchangeBuilder("chat", "m", False, sent=1.0)
    answer = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}
    builder.add_whole(200, json.dumps(answer).encode())
    found = builder.build(2.0, 0.0)
    assert (found.error, found.total_s, found.answer_tokens, found.first_answer_s) == (None, 1.0, 2, None)
    assert builder.text == ["hi"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b'{"error": {"code": "overloaded"}}', "429 overloaded"),
        (400, b'{"error": {"type": "BadRequestError", "code": null}}', "400 BadRequestError"),
        (502, b"<html>bad gateway</html>", "502"),
        (500, b"[]", "500"),
        (200, b"", "malformed answer"),
    ],
)
def test_an_error_s_kind(status: int, body: bytes, kind: str) -> None:
    builder = ExchangeBuilder("chat", "m", True, sent=1.0)
    builder.add_whole(status, body)
    assert builder.build(2.0, 0.0).error == kind
