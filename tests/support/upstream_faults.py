"""Faults of upstream endpoints as data: what a server sends to a streamed chat request, and how the call must end.

`FAULTS` are played by `tests.support.upstream.upstream`. No fault may cost more than the call that met it.
"""

import gzip
import itertools
import json
import zlib
from functools import partial
from typing import Any

from tests.support.upstream_responses import (
    CLOSE,
    COUNTS,
    DONE,
    GOOD,
    HOLD,
    JSON_TYPE,
    KEY,
    MAX_EVENT_BYTES,
    PARTS,
    RESET,
    SSE,
    STOP,
    TEXT,
    USAGE,
    WHOLE,
    Fault,
    answered,
    bytewise,
    chunk,
    chunked,
    counted,
    data,
    ending,
    error,
    events,
    fixed,
    good,
    gzipped,
    head,
    header_lines,
    long_line,
    many_lines,
    stream,
)

DEEP = "[" * 200_000 + "]" * 200_000
ERROR_BODY = json.dumps(error(f"the key {KEY} is at its limit")).encode()

BAD_FIELDS: dict[str, dict[str, Any]] = {
    "content-as-a-list-of-parts": {"delta": {"content": [{"type": "text", "text": TEXT}]}},
    "reasoning-as-a-number": {"delta": {"content": TEXT, "reasoning_content": 5}},
    "logprob-nan": {"delta": {"content": TEXT}, "logprobs": {"content": [{"token": "T", "logprob": float("nan")}]}},
    "bytes-of-300": {
        "delta": {"content": TEXT},
        "logprobs": {"content": [{"token": "T", "logprob": -1, "bytes": [300]}]},
    },
    "a-tool-call-without-a-name": {"delta": {"content": TEXT, "tool_calls": [{"index": 0, "function": {}}]}},
}

STATUSES = [
    answered("400 Bad Request", "invalid_request", JSON_TYPE, body=json.dumps(error("Lower 'x'.", param="x")).encode()),
    answered("400 Bad Request", "invalid_request", JSON_TYPE, body=ERROR_BODY, name="status-400-quotes-the-key"),
    answered("400 Bad Request", "invalid_request", body=b"<html>", name="status-400-html"),
    answered("400 Bad Request", "invalid_request", JSON_TYPE, body=DEEP[:60000].encode(), name="status-400-deep-json"),
    answered("400 Bad Request", "invalid_request", JSON_TYPE, body=b'{"error": 3}', name="status-400-number"),
    answered("413 Too Large", "invalid_request"),
    answered("422 Unprocessable", "invalid_request", JSON_TYPE, body=b'{"detail": [{"msg": "no"}]}'),
    answered("401 Unauthorized", "engine_failed", JSON_TYPE, body=ERROR_BODY),
    answered("403 Forbidden", "engine_failed"),
    answered("402 Payment Required", "engine_failed", JSON_TYPE, body=ERROR_BODY),
    answered("404 Not Found", "engine_failed", JSON_TYPE, body=b'{"error": {"message": "no such model"}}'),
    answered("405 Method Not Allowed", "engine_failed"),
    answered("408 Request Timeout", "engine_failed"),
    answered("418 I'm a teapot", "engine_failed"),
    answered("429 Too Many Requests", "overloaded"),
    *(
        answered("429 Too Many Requests", "overloaded", f"retry-after: {value}", name=f"status-429-retry-after-{name}")
        for name, value in {
            "seconds": "2",
            "nan": "nan",
            "inf": "inf",
            "negative": "-5",
            "huge": "9" * 400,
            "date": "Fri, 31 Dec 2027 23:59:59 GMT",
            "past": "Thu, 01 Jan 1970 00:00:00 GMT",
            "words": "soon",
        }.items()
    ),
    answered("500 Internal Server Error", "engine_failed", JSON_TYPE, body=ERROR_BODY),
    answered("500 Internal Server Error", "engine_failed", "retry-after: 3", name="status-500-retry-after"),
    answered("502 Bad Gateway", "engine_failed", "content-type: text/html", body=b"<html><h1>Bad Gateway</h1></html>"),
    answered("503 Service Unavailable", "engine_unavailable"),
    answered("503 Service Unavailable", "engine_unavailable", "retry-after: nan", name="status-503-retry-after-nan"),
    answered("503 Service Unavailable", "engine_unavailable", "retry-after: 7", name="status-503-retry-after"),
    answered("504 Gateway Timeout", "engine_failed"),
    answered("529 Overloaded", "engine_failed"),
    answered("302 Found", "engine_failed", "location: http://127.0.0.1:9/v1"),
    answered("301 Moved Permanently", "engine_failed", "location: /v1/chat/completions", name="redirect-to-itself"),
    answered("307 Temporary Redirect", "engine_failed", "location: //[", name="redirect-to-no-url"),
    answered("204 No Content", "engine_failed"),
    answered("206 Partial Content", "engine_failed", SSE, body=good()),
    Fault(
        "status-500-endless-body",
        lambda: itertools.chain([head(status="500 E")], itertools.repeat(b"x" * 8192, 64), [HOLD]),
        "engine_failed",
    ),
    Fault("status-400-broken-gzip", lambda: fixed(b"no", "content-encoding: gzip", status="400 B"), "invalid_request"),
]

HEADS = [
    Fault("closed-before-the-status", lambda: [CLOSE], "engine_failed"),
    Fault("reset-before-the-status", lambda: [RESET], "engine_failed"),
    Fault("silent-before-the-status", lambda: [HOLD], "deadline_exceeded", hangs=True),
    Fault("no-http", lambda: [b"SSH-2.0-OpenSSH_9.9\r\n", CLOSE], "engine_failed"),
    Fault("http-0.9", lambda: [b"<html>hello</html>", CLOSE], "engine_failed"),
    Fault("status-line-without-a-number", lambda: [b"HTTP/1.1 OK\r\n\r\n", CLOSE], "engine_failed"),
    Fault("closed-within-the-head", lambda: [b"HTTP/1.1 200 OK\r\ncontent-ty", CLOSE], "engine_failed"),
    Fault("silent-within-the-head", lambda: [b"HTTP/1.1 200 OK\r\ncontent-ty", HOLD], "deadline_exceeded", hangs=True),
    Fault("header-bomb-of-many", lambda: header_lines(20000, 20), "engine_failed"),
    Fault("header-bomb-of-one", lambda: header_lines(1, 2**20), "engine_failed"),
    Fault("header-without-a-colon", lambda: [b"HTTP/1.1 200 OK\r\nnothing\r\n\r\n", CLOSE], "engine_failed"),
    Fault("two-content-lengths", lambda: fixed(good(), SSE, "content-length: 3"), "engine_failed"),
    Fault("early-hints", lambda: itertools.chain([b"HTTP/1.1 103 Early Hints\r\n\r\n"], chunked(*GOOD)), "answer"),
    Fault(
        "many-100-continue", lambda: itertools.chain([b"HTTP/1.1 100 Continue\r\n\r\n"] * 50, chunked(*GOOD)), "answer"
    ),
    Fault(
        "switching-protocols",
        lambda: [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", CLOSE],
        "engine_failed",
    ),
    Fault("unknown-transfer-encoding", lambda: [head("transfer-encoding: magic"), good(), CLOSE], "engine_failed"),
]

BODIES = [
    Fault("http-1.0-until-the-close", lambda: [b"HTTP/1.0 200 OK\r\n\r\n", good(), CLOSE], "answer"),
    Fault("without-a-content-type", lambda: chunked(*GOOD, headers=()), "answer"),
    Fault(
        "wrong-content-type", lambda: chunked(*GOOD, headers=("content-type: text/plain; charset=latin-1",)), "answer"
    ),
    Fault("events-as-json-type", lambda: chunked(*GOOD, headers=(JSON_TYPE,)), "answer"),
    Fault("whole-json", lambda: fixed(json.dumps(WHOLE).encode(), JSON_TYPE), "answer"),
    Fault("whole-json-as-events-type", lambda: fixed(json.dumps(WHOLE).encode(), SSE), "answer"),
    Fault(
        "whole-json-cut", lambda: [head("content-length: 500"), json.dumps(WHOLE).encode()[:60], CLOSE], "engine_failed"
    ),
    Fault("whole-json-error", lambda: fixed(json.dumps(error(f"bad {KEY}")).encode(), JSON_TYPE), "engine_failed"),
    Fault("whole-json-of-something", lambda: fixed(b'{"detail": "hello"}', JSON_TYPE), "incomplete_generation"),
    Fault(
        "whole-json-too-long",
        lambda: fixed(json.dumps({**WHOLE, "x": "x" * MAX_EVENT_BYTES}).encode(), JSON_TYPE),
        "engine_failed",
    ),
    Fault("whole-json-deep", lambda: fixed(DEEP.encode(), JSON_TYPE), "engine_failed"),
    Fault("json-lines", lambda: fixed(b'{"a": 1}\n{"b": 2}\n', "content-type: application/x-ndjson"), "engine_failed"),
    Fault(
        "html-with-200", lambda: fixed(b"<!doctype html><h1>Log in</h1>", "content-type: text/html"), "engine_failed"
    ),
    Fault("html-as-events-type", lambda: fixed(b"\n <html>", SSE), "engine_failed"),
    Fault("empty-body", lambda: fixed(b"", SSE), "incomplete_generation"),
    Fault("random-bytes", lambda: fixed(bytes(range(256)) * 20, SSE), "incomplete_generation"),
    Fault("gzip-not-asked-for", lambda: gzipped(good()), "answer"),
    Fault("deflate", lambda: chunked(zlib.compress(good()), headers=(SSE, "content-encoding: deflate")), "answer"),
    Fault("gzip-bomb", lambda: gzipped(b"x", 2**24), "engine_failed"),
    Fault("gzip-bomb-of-lines", lambda: gzipped(b":\n", 2**22), "engine_failed"),
    Fault("gzip-broken", lambda: chunked(b"no gzip", headers=(SSE, "content-encoding: gzip")), "engine_failed"),
    Fault(
        "gzip-cut",
        lambda: chunked(gzip.compress(good())[:40], headers=("content-encoding: gzip",)),
        "incomplete_generation",
    ),
    Fault("unknown-compression", lambda: chunked(*GOOD, headers=(SSE, "content-encoding: br")), "engine_failed"),
    Fault(
        "chunk-size-that-is-no-number",
        lambda: [head("transfer-encoding: chunked"), b"zz\r\nabc\r\n", CLOSE],
        "engine_failed",
    ),
    Fault(
        "chunk-shorter-than-its-size",
        lambda: [head("transfer-encoding: chunked"), b"fff\r\ndata: x\r\n", CLOSE],
        "engine_failed",
    ),
    Fault(
        "body-shorter-than-its-length", lambda: [head("content-length: 5000"), b"".join(PARTS), CLOSE], "engine_failed"
    ),
    Fault(
        "body-longer-than-its-length",
        lambda: [head(f"content-length: {len(good())}"), good() + b"HTTP/1.1 junk", CLOSE],
        "answer",
    ),
    Fault("keep-alive-then-closed", lambda: [head(f"content-length: {len(good())}"), good(), CLOSE], "answer"),
]

FRAMING = [
    stream("byte-order-mark", "answer", b"\xef\xbb\xbf" + good()),
    stream("byte-order-mark-in-pieces", "answer", b"\xef", b"\xbb", b"\xbf" + good()),
    stream("cr-lines", "answer", good().replace(b"\n", b"\r")),
    stream("crlf-lines", "answer", good().replace(b"\n", b"\r\n")),
    Fault("byte-by-byte", bytewise, "answer"),
    stream("comments", "answer", good(b": OPENROUTER PROCESSING\n\n", b":\n\n", b":::\n")),
    stream("id-and-retry", "answer", good(b"id: 7\nretry: 10\n\n", b"retry: soon\n\n", b"id: \0\n\n", b"id\n\n")),
    stream(
        "data-over-several-lines",
        "answer",
        b'data: {"choices": [{"index": 0,\ndata: "delta": {"content":\ndata: "The answer"}}]}\n\n',
        *GOOD[1:],
    ),
    stream("data-without-a-space", "answer", good().replace(b"data: ", b"data:")),
    stream("empty-data", "answer", good(b"data\n\n", b"data:\n\n", b"data: \n\n")),
    stream("unknown-fields", "answer", good(b"foo: bar\n\n", b"nonsense\n\n", b"Data: {\n\n")),
    stream("event-message", "answer", good().replace(b"data: ", b"event: message\ndata: ")),
    stream("event-ping", "answer", good(b"event: ping\ndata: {}\n\n", b"event: ping\ndata: pong\n\n")),
    stream("event-error-in-json", "engine_failed", PARTS[0], b'event: error\ndata: {"message": "it broke"}\n\n', DONE),
    stream("event-error-in-words", "engine_failed", PARTS[0], b"event: error\ndata: it broke\n\n"),
    stream("event-error-in-openais-form", "engine_failed", b"event: error\n" + data(error(f"bad {KEY}"))),
    stream("event-error-without-data", "incomplete_generation", PARTS[0], b"event: error\n\n", DONE),
    stream("event-error-of-load", "overloaded", b'event: error\ndata: {"error": {"type": "overloaded_error"}}\n\n'),
    stream("last-event-without-an-empty-line", "incomplete_generation", *PARTS, STOP.rstrip(b"\n")),
    Fault("line-without-an-end", long_line, "engine_failed"),
    Fault("event-without-an-end", lambda: many_lines(b"data: x\n"), "engine_failed"),
    Fault("comments-without-an-end", lambda: many_lines(b": x\n\n"), "engine_failed"),
    Fault("empty-data-without-an-end", lambda: many_lines(b"data\n"), "engine_failed"),
]

CHUNKS = [
    stream("no-json", "engine_failed", PARTS[0], b"data: {\n\n", DONE),
    events("json-text", "engine_failed", '"hello"'),
    events("json-null", "engine_failed", "null"),
    events("json-list", "engine_failed", []),
    stream("json-200000-levels", "engine_failed", data("[" * 200_000), DONE),
    Fault("json-80000-levels-of-objects", lambda: chunked(data('{"a":' * 80_000), DONE), "engine_failed"),
    events("json-number-of-5000-digits", "engine_failed", "1" * 5000),
    stream("error-object", "engine_failed", PARTS[0], data(error(f"bad {KEY}", code=500)), DONE),
    stream("error-text", "engine_failed", PARTS[0], data({"error": "it broke"})),
    stream("error-of-vllm-before-0.9", "engine_failed", data({"object": "error", "message": "no", "code": 500}), DONE),
    stream("error-of-load", "overloaded", data(error("slow down", code=429))),
    stream("error-of-its-deadline", "engine_failed", PARTS[0], data(error("late", code="deadline_exceeded"))),
    stream("error-with-a-list-as-code", "engine_failed", data(error("no", code=[1], type={}))),
    stream("error-after-the-end", "answer", *PARTS, STOP, data(error("too late")), DONE),
    stream("nonsense-after-the-end", "answer", *PARTS, STOP, b"data: {\n\n", DONE),
    stream("text-after-done", "answer", *GOOD, data(chunk("more"))),
    events("choices-number", "engine_failed", {"choices": 3}),
    events("choices-object", "engine_failed", {"choices": {"0": {}}}),
    events("choices-more-than-asked", "engine_failed", {"choices": [{}, {}]}),
    events("choices-100000", "engine_failed", {"choices": [{}] * 100_000}),
    events("tool-calls-10000", "engine_failed", chunk(delta={"tool_calls": [{"function": {"name": "f"}}] * 10_000})),
    events("choice-null", "engine_failed", {"choices": [None]}),
    stream("choices-null", "answer", data({"choices": None}), *GOOD),
    *(
        events(f"choice-index-{name}", "engine_failed", {"choices": [{"index": index, "delta": {"content": "x"}}]})
        for name, index in {
            "string": "0",
            "negative": -1,
            "true": True,
            "too-large": 1,
            "list": [],
            "float": 0.5,
        }.items()
    ),
    stream("choice-index-null", "answer", data(chunk("The answer", index=None)), *GOOD[1:]),
    events("content-number", "engine_failed", chunk(3)),
    events("content-list", "engine_failed", chunk(["a"])),
    events("delta-text", "engine_failed", {"choices": [{"index": 0, "delta": "abc"}]}),
    stream("delta-null", "answer", data({"choices": [{"index": 0, "delta": None}]}), *GOOD),
    events("reasoning-number", "engine_failed", {"choices": [{"index": 0, "delta": {"reasoning": 3}}]}),
    events(
        "tool-call-without-a-name",
        "engine_failed",
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"function": {"arguments": "{}"}}]}}]},
    ),
    events("tool-call-null", "engine_failed", {"choices": [{"index": 0, "delta": {"tool_calls": [None]}}]}),
    events(
        "tool-call-index-list",
        "engine_failed",
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": [], "function": {"name": "f"}}]}}]},
    ),
    *(
        events(
            f"logprobs-{name}",
            "engine_failed",
            {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": {"content": content}}]},
        )
        for name, content in {
            "text": "abc",
            "empty": [{}],
            "bytes-number": [{"token": "x", "logprob": -1, "bytes": 10**12}],
            "bytes-too-large": [{"token": "x", "logprob": -1, "bytes": [256]}],
            "nan": [{"token": "x", "logprob": float("nan")}],
        }.items()
    ),
    # The chunk that ends the answer, or the whole answer, has one bad field: its text must not be lost in silence.
    *(
        fault
        for name, fields in BAD_FIELDS.items()
        for fault in (
            events(f"last-chunk-with-{name}", "engine_failed", chunk(finish="stop", **fields)),
            Fault(
                f"whole-json-with-{name}",
                partial(fixed, json.dumps(chunk(finish="stop", **fields)).encode(), JSON_TYPE),
                "engine_failed",
            ),
        )
    ),
    # JSON escapes surrogates one by one: `json.dumps` writes each as it is.
    stream(
        "surrogates-split",
        "answer",
        *PARTS,
        data(chunk(" \ud83d")),
        data(chunk("\ude00")),
        *GOOD[2:],
        text=f"{TEXT} \U0001f600",
    ),
    stream(
        "surrogate-lone-first",
        "answer",
        *PARTS,
        data(chunk("\ud83d")),
        data(chunk("!")),
        *GOOD[2:],
        text=f"{TEXT}\ufffd!",
    ),
    stream("surrogate-lone-second", "answer", *PARTS, data(chunk("\ude00!")), *GOOD[2:], text=f"{TEXT}\ufffd!"),
    stream("surrogate-lone-at-the-end", "answer", *PARTS, data(chunk("\ud83d")), *GOOD[2:], text=f"{TEXT}\ufffd"),
    stream("invalid-utf-8", "answer", *PARTS, data(chunk("@")).replace(b"@", b"\xff"), *GOOD[2:], text=f"{TEXT}\ufffd"),
    stream("invalid-utf-8-in-a-comment", "answer", good(b": \xff\xfe\n\n")),
    stream("nul-bytes-in-a-comment", "answer", good(b": \0\0\n\n")),
]

ENDS = [
    stream("closed-within-the-answer", "engine_failed", PARTS[0], CLOSE),
    stream("reset-within-the-answer", "engine_failed", PARTS[0], 0.02, RESET),
    stream("silent-within-the-answer", "deadline_exceeded", PARTS[0], HOLD, hangs=True),
    stream("ended-within-the-answer", "incomplete_generation", PARTS[0]),
    stream("done-without-a-finish-reason", "incomplete_generation", *PARTS, DONE),
    stream("done-alone", "incomplete_generation", DONE),
    stream("no-done", "answer", *PARTS, STOP, COUNTS),
    stream("no-done-and-no-usage", "answer", *PARTS, STOP),
    stream("no-done-and-closed", "answer", *PARTS, STOP, CLOSE),
    stream("no-done-and-reset", "answer", *PARTS, STOP, 0.02, RESET),
    stream("no-done-and-open", "answer", *PARTS, STOP, HOLD),
    stream("no-done-usage-and-open", "answer", *PARTS, STOP, COUNTS, HOLD),
    stream("done-and-open", "answer", *GOOD, HOLD),
    stream("done-and-closed", "answer", *GOOD, CLOSE),
    stream("usage-with-the-end", "answer", *PARTS, data({**chunk(finish="stop"), "usage": USAGE}), HOLD),
    *(
        ending(f"finish-reason-{name}", expected, finish)
        for name, expected, finish in (
            ("empty", "incomplete_generation", ""),
            ("unknown", "answer", "gave_up"),
            ("eos", "answer", "eos_token"),
            ("upper-case", "answer", "STOP"),
            ("number", "answer", 1),
            ("object", "answer", {"type": "stop"}),
            ("max-tokens", "truncated", "max_tokens"),
            ("length", "truncated", "length"),
            ("model-length", "truncated", "model_length"),
            ("filter", "truncated", "content_filter"),
            ("safety", "truncated", "SAFETY"),
            ("error", "engine_failed", "error"),
            ("tool-calls-without-one", "answer", "tool_calls"),
            ("function-call-without-one", "answer", "function_call"),
        )
    ),
    *(
        stream(f"finish-reason-tool-calls-with-{name}", "engine_failed", data(chunk(text, "tool_calls")), COUNTS, DONE)
        for name, text in {"nothing": None, "white-space": " \n"}.items()
    ),
    stream("finish-reason-empty-then-stop", "answer", data(chunk("The answer", finish="")), *GOOD[1:]),
    counted("usage-negative", {"prompt_tokens": -5, "completion_tokens": -1}),
    counted("usage-huge", {"prompt_tokens": 10**30, "completion_tokens": 10**12}),
    counted("usage-true", {"prompt_tokens": True, "completion_tokens": False}),
    counted("usage-float", {"prompt_tokens": 1.5, "completion_tokens": "6"}),
    counted("usage-list", [1, 2]),
    counted("usage-parts-larger-than-the-whole", {**USAGE, "prompt_tokens_details": {"cached_tokens": 99}}),
]

FAULTS: list[Fault] = [*STATUSES, *HEADS, *BODIES, *FRAMING, *CHUNKS, *ENDS]
