"""Parts of an endpoint's responses, and faults made of them: see `tests.support.upstream_faults`."""

import gzip
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tests.support.upstream import Break, Step, Steps

TEXT = "The answer is 42."
KEY = "sk-upstream-0123456789"  # the key that is sent to the endpoint: some faults send it back
MAX_EVENT_BYTES = 512 * 1024  # settings of the engine that meets the faults
MAX_ANSWER_BYTES = 640 * 1024
CLOSE, HOLD, RESET, NEXT = Break.CLOSE, Break.HOLD, Break.RESET, Break.NEXT

Expected = Literal[
    "answer",  # all of TEXT with the finish reason "stop"
    "truncated",  # the beginning of TEXT with the finish reason "length" or "content_filter"
    # or the code of an error
    "deadline_exceeded",
    "engine_failed",
    "engine_unavailable",
    "incomplete_generation",
    "invalid_request",
    "overloaded",
]


@dataclass(frozen=True)
class Fault:
    """One behaviour of an endpoint."""

    name: str
    steps: Steps
    expected: Expected
    text: str = TEXT  # of the whole answer
    hangs: bool = False  # only a timeout of the engine ends the call


SSE = "content-type: text/event-stream"
JSON_TYPE = "content-type: application/json"


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def chunked(*pieces: bytes | Break | float, headers: Iterable[str] = (SSE,), status: str = "200 OK") -> Iterator[Step]:
    """A response in HTTP chunks, one for each piece; it ends well unless a break comes first."""
    yield head(*headers, "transfer-encoding: chunked", status=status)
    for piece in pieces:
        if isinstance(piece, bytes):
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
        else:
            yield piece
            if isinstance(piece, Break):
                return
    yield b"0\r\n\r\n"
    yield NEXT


def fixed(body: bytes, *headers: str, status: str = "200 OK") -> Iterator[Step]:
    """A response with a content length."""
    yield head(*headers, f"content-length: {len(body)}", status=status) + body
    yield NEXT


def data(value: object, end: str = "\n") -> bytes:
    """An event with JSON, or with text as it is."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"data: {text}{end}{end}".encode("utf-8", "surrogatepass")


def chunk(content: Any = None, finish: Any = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [{**choice, **fields}]}


USAGE = {"prompt_tokens": 5, "completion_tokens": 6}
PARTS = [data(chunk("The answer")), data(chunk(" is 42."))]
STOP = data(chunk(finish="stop"))
COUNTS = data({"choices": [], "usage": USAGE})
DONE = data("[DONE]")
GOOD = [*PARTS, STOP, COUNTS, DONE]
WHOLE = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def good(*before: bytes) -> bytes:
    return b"".join([*before, *GOOD])


def error(message: object = "it broke", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def stream(
    name: str, expected: Expected, *pieces: bytes | Break | float, hangs: bool = False, text: str = TEXT
) -> Fault:
    """A fault in the events of a response that is otherwise in order."""
    return Fault(name, lambda: chunked(*pieces), expected, text, hangs)


def events(name: str, expected: Expected, *values: object) -> Fault:
    """Events with these values, then the end that every choice and the stream need."""
    return stream(name, expected, *map(data, values), STOP, COUNTS, DONE)


def ending(name: str, expected: Expected, finish: object) -> Fault:
    return stream(name, expected, *PARTS, data(chunk(finish=finish)), COUNTS, DONE)


def answered(status: str, expected: Expected, *headers: str, body: bytes = b"", name: str = "") -> Fault:
    return Fault(name or f"status-{status.partition(' ')[0]}", lambda: fixed(body, *headers, status=status), expected)


def counted(name: str, usage: object) -> Fault:
    return stream(name, "answer", *PARTS, STOP, data({"choices": [], "usage": usage}), DONE)


def header_lines(count: int, size: int) -> Iterator[Step]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(count):
        yield b"x-%d: %s\r\n" % (number, b"a" * size)
    yield b"content-length: 0\r\n\r\n"


def long_line() -> Iterator[Step]:
    yield head(SSE)
    yield b"data: "
    yield from itertools.repeat(b"x" * 16384, 128)
    yield HOLD


def many_lines(line: bytes) -> Iterator[Step]:
    yield head(SSE)
    yield from itertools.repeat(line * (16384 // len(line)), 256)
    yield HOLD


@cache
def _compressed(line: bytes, count: int) -> bytes:
    return gzip.compress(line * count)


def gzipped(line: bytes, count: int = 1) -> Iterator[Step]:
    return chunked(_compressed(line, count), headers=(SSE, "content-encoding: gzip"))


def bytewise() -> Iterator[Step]:
    body = good()
    return chunked(*(body[place : place + 1] for place in range(len(body))))
