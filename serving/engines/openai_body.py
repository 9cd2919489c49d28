"""Bodies of an endpoint's responses: decompressed within limits, as events or as a whole."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

import httpx

from serving import sse

PIECE_BYTES = 16 * 1024  # of a decompressed body: a compressed piece may be a thousand times as long
MAX_ERROR_BYTES = 64 * 1024  # that are read of the body of an error response
ERROR_BODY_S = 5.0  # wait for it; the status says enough


class InvalidBody(ValueError):
    """A body cannot be read; the message says why."""


def raw_bytes(response: httpx.Response) -> AsyncIterator[bytes]:
    """Bytes of the body as they arrive; of a response that is not streamed, as in tests, its decoded content."""
    return response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()


async def pieces(response: httpx.Response, raw: AsyncIterator[bytes], limit_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body of `response` in pieces, decompressed; `raw` are its bytes as they arrive.

    Raises:
        InvalidBody: it is longer than `limit_bytes`, or its compression is unknown or broken.
        httpx.HTTPError: the connection failed.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if response.is_stream_consumed or encoding in ("identity", ""):
        source = aiter(raw)
    elif encoding in ("gzip", "x-gzip", "deflate"):
        source = _inflated(raw)
    else:
        raise InvalidBody("its endpoint compressed the answer, which was not asked for")
    size = 0
    async for piece in source:
        size += len(piece)
        if size > limit_bytes:
            raise InvalidBody(f"its endpoint's answer is longer than {limit_bytes} bytes (max_answer_bytes)")
        yield piece


async def _inflated(raw: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by the header
    try:
        async for piece in raw:
            rest = piece
            while True:
                data = decoder.decompress(rest, PIECE_BYTES)
                rest = decoder.unconsumed_tail
                if data:
                    yield data
                    await asyncio.sleep(0)  # a long run of pieces without input must not hold the loop
                if len(data) < PIECE_BYTES and not rest:
                    break
    except zlib.error:
        raise InvalidBody("its endpoint's answer cannot be decompressed") from None


async def events(
    response: httpx.Response, raw: AsyncIterator[bytes], event_bytes: int, answer_bytes: int
) -> AsyncGenerator[sse.Event, None]:
    """Events of a response. A body that is JSON is one event: the endpoint answered whole.

    Args:
        response: the response.
        raw: its bytes as they arrive.
        event_bytes: limit of one event.
        answer_bytes: limit of all of them.

    Raises:
        InvalidBody: a limit is exceeded, or the body is a web page or cannot be decompressed.
        httpx.HTTPError: the connection failed.
    """
    parser = sse.EventParser(event_bytes)
    whole: bytearray | None = None
    begun = False
    async for piece in pieces(response, raw, answer_bytes):
        if not begun and (start := piece.removeprefix(sse.BOM).lstrip()[:1]):
            begun = True
            if start == b"<":
                raise InvalidBody("its endpoint answered with a web page")
            if start in b"{[":
                whole = bytearray()
        if whole is not None:
            if len(whole) + len(piece) > event_bytes:
                raise InvalidBody(f"its endpoint's answer is longer than {event_bytes} bytes (max_event_bytes)")
            whole += piece
            continue
        try:
            ended = parser.feed(piece)
        except sse.EventTooLong:
            raise InvalidBody(f"its endpoint sent an event longer than {event_bytes} bytes (max_event_bytes)") from None
        for event in ended:
            yield event
    if whole is not None:
        yield sse.Event(bytes(whole.removeprefix(sse.BOM)))


async def error_body(response: httpx.Response, deadline: float | None) -> bytes:
    """Beginning of the body of an error response, as far as it arrives within `ERROR_BODY_S` and before `deadline`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + ERROR_BODY_S
    body = bytearray()
    with suppress(TimeoutError, httpx.HTTPError, InvalidBody):
        async with asyncio.timeout_at(until if deadline is None else min(until, deadline)):
            async for piece in pieces(response, raw_bytes(response), 2 * MAX_ERROR_BYTES):
                body += piece
                if len(body) >= MAX_ERROR_BYTES:
                    break
    return bytes(body[:MAX_ERROR_BYTES])
