"""One HTTP request and its response, straight on ASGI: nothing stands between a token and the socket."""

import asyncio
import re
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from serving.errors import BodyTooLarge, SlowBody, WrongContentType

Headers = tuple[tuple[bytes, bytes], ...]
GIVEN_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class ClientGone(Exception):
    """The caller hung up: there is nobody to answer."""


class HttpExchange:
    """`request_id` goes back in `x-request-id`; `work_id` names the work below and is never used twice."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, echo_request_id: bool = True) -> None:
        self.method: str = scope["method"]
        # Servers put the root path before the path; routes are relative to it.
        self.path: str = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")) or "/"
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self.started = False
        self.engine_asked = False  # from here on the engine's own observer sees how the request ends
        self._send = send
        self._echo = echo_request_id
        fresh = uuid.uuid4().hex
        given = self.headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if GIVEN_ID.fullmatch(given) else fresh
        self.work_id = fresh
        self.answer_id = f"chatcmpl-{fresh}"

    async def json_body(self, limit_bytes: int, limit_s: float, take: Callable[[int], None]) -> bytes:
        """The whole body; `take` is told of every piece's bytes, and may raise.

        Raises:
            WrongContentType: it is said to be something else than JSON, or compressed.
            BodyTooLarge: it is longer than `limit_bytes`, announced or counted.
            SlowBody: it did not arrive within `limit_s`.
            ClientGone: the caller hung up before its end.
        """
        media_type = self.headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            raise WrongContentType("content-type", media_type[:80].decode("latin-1"), "application/json")
        encoding = self.headers.get(b"content-encoding", b"identity").lower()
        if encoding != b"identity":
            raise WrongContentType("content-encoding", encoding[:80].decode("latin-1"), "identity")
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > limit_bytes:
                        raise BodyTooLarge(limit_bytes)
                    take(len(pieces[-1]))
                    if not message.get("more_body", False):
                        return b"".join(pieces)
        except TimeoutError:
            raise SlowBody(limit_s) from None

    async def disconnected(self) -> None:
        """Return when the caller has hung up. To be awaited once the body has been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: Headers) -> None:
        self.started = True
        all_headers = [*headers, (b"x-request-id", self.request_id.encode())] if self._echo else list(headers)
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})

    async def write(self, data: bytes, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def respond(self, status: int, content: Any, headers: Headers = ()) -> None:
        """A whole JSON response."""
        data = orjson.dumps(content)
        length = (b"content-length", str(len(data)).encode())
        await self.start(status, ((b"content-type", b"application/json"), length, *headers))
        await self.write(data, more=False)
