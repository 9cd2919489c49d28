"""One HTTP request and its response, directly on ASGI, so that a token reaches the socket without detours."""

import asyncio
import re
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from serving.errors import BodyTooLarge, SlowBody, WrongContentType

Headers = tuple[tuple[bytes, bytes], ...]
CLIENT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


class HttpExchange:
    """An HTTP request and the response to it.

    Attributes:
        request_id: the client's `x-request-id` if it is a plain one, else a new id; sent back in the response.
        engine_request_id: id of the calls of engines; always new, so that no two requests share it.
        answer_id: id of the answer in its JSON.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, echo_request_id: bool = True) -> None:
        """Read the request line and headers; `echo_request_id`: send `x-request-id` back."""
        self.method: str = scope["method"]
        # ASGI servers put the root path before the path; routes are relative to it.
        self.path: str = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")) or "/"
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self.started = False
        self.engine_asked = False  # True: the engine's observer reports how the request ends
        self._send = send
        self._echo = echo_request_id
        fresh = uuid.uuid4().hex
        given = self.headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if CLIENT_REQUEST_ID.fullmatch(given) else fresh
        self.engine_request_id = fresh
        self.answer_id = f"chatcmpl-{fresh}"

    async def json_body(self, limit_bytes: int, limit_s: float, on_piece: Callable[[int], None]) -> bytes:
        """Read the whole body.

        Args:
            limit_bytes: maximum size of the body.
            limit_s: maximum time to receive it.
            on_piece: called with the size of each piece in bytes; may raise.

        Raises:
            WrongContentType: the content type is not JSON, or the body is compressed.
            BodyTooLarge: the body is longer than `limit_bytes`, by its header or as counted.
            SlowBody: the body did not arrive within `limit_s`.
            ClientGone: the client closed the connection before the end of the body.
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
                    on_piece(len(pieces[-1]))
                    if not message.get("more_body", False):
                        return b"".join(pieces)
        except TimeoutError:
            raise SlowBody(limit_s) from None

    async def disconnected(self) -> None:
        """Return when the client has closed the connection. To be awaited after the body has been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status line and the headers."""
        self.started = True
        all_headers = [*headers, (b"x-request-id", self.request_id.encode())] if self._echo else list(headers)
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})

    async def write(self, data: bytes, more: bool) -> None:
        """Send a piece of the body; `more` is False for the last one."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def respond(self, status: int, content: Any, headers: Headers = ()) -> None:
        """Send a whole JSON response."""
        data = orjson.dumps(content)
        length = (b"content-length", str(len(data)).encode())
        await self.start(status, ((b"content-type", b"application/json"), length, *headers))
        await self.write(data, more=False)
