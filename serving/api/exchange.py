"""The ASGI entry of the API: FastAPI, and one exchange per HTTP request.

FastAPI sees the head of each response. The pieces of a stream go past it to the socket: each wrapper of `send` would
cost time with every token.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from serving.api.cors import Cors
from serving.api.keys import ANY_CALLER, Caller, Request
from serving.api.request_trace import RequestTrace
from serving.errors import BodyTooLarge, MoaError, SlowBody, WrongContentType
from serving.failures import log_exception
from serving.log_context import CURRENT, LogContext
from serving.redaction import redacted
from serving.trace_context import TraceContext
from serving.tracing.spans import Tracer

Headers = tuple[tuple[bytes, bytes], ...]
NO_WEBSOCKETS = (
    b'{"error":{"message":"Send the request by HTTP: this server has no WebSockets.","type":"invalid_request_error",'
    b'"param":null,"code":"invalid_request"}}'
)
CLIENT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
EXCHANGE = "moa.exchange"  # key of the exchange in the scope
CALLER = "moa.caller"  # key of the caller in the scope of a request that this process makes to itself: no HTTP has it
RECEIVED = b"x-moa-received-ms"  # header of our HAProxy: Unix time of the request's arrival there, milliseconds
MIN_WAITED_S = 1.0  # a shorter time is no repetition, and may be a difference of two nodes' clocks

logger = logging.getLogger("serving.api")


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


class HttpExchange:
    """An HTTP request and the response to it.

    Attributes:
        all_headers: the request's headers in their order; a name may come more than once.
        headers: the same by name; of equal names the last.
        request_id: the client's `x-request-id` if it is a plain one without a secret, else a new id; sent back in the
            response, and logged.
        engine_request_id: id of the calls of engines; always new, so that no two requests share it.
        started: the response's head has been sent.
        engine_asked: the engine's observer reports how the request ends.
        caller: who sends the request, once its key has been checked.
        limit_headers: headers of the response that tell the caller its limits.
        trusted: the caller is known without a key: this process makes the request itself.
        parsed: the body has been parsed; errors until then name fields as the client does.
        trace: the request's place in a trace; None: it has none.
        status: of the response; None until its head is sent.
        failure: code of the error by which the request ended; None: none.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        echo_request_id: bool = True,
        cors: Cors | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Read the request line and headers, and begin its trace; `echo_request_id`: send `x-request-id` back."""
        self.method: str = scope["method"]
        # ASGI servers put the root path before the path; routes are relative to it.
        self.path: str = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")) or "/"
        self.all_headers: tuple[tuple[bytes, bytes], ...] = tuple(scope["headers"])
        self.headers: dict[bytes, bytes] = dict(self.all_headers)
        self.receive = receive
        self.started = False
        self.engine_asked = False
        self.caller: Caller = scope.get(CALLER, ANY_CALLER)
        self.trusted = CALLER in scope
        self.parsed = False
        self.status: int | None = None
        self.failure: str | None = None
        self.limit_headers: Headers = ()
        self._send = send
        fresh = uuid.uuid4().hex
        given = self.headers.get(b"x-request-id", b"")
        plain = given.decode() if CLIENT_REQUEST_ID.fullmatch(given) else ""
        self.request_id = plain if plain and redacted(plain) == plain else fresh
        self.engine_request_id = fresh
        self._added: Headers = ((b"x-request-id", self.request_id.encode()),) if echo_request_id else ()
        if cors is not None:
            self._added += cors.headers(self.headers)
        self.trace: RequestTrace | None = None
        if tracer is not None or b"traceparent" in self.headers:
            self.trace = RequestTrace(tracer, self.method, self.path, self.headers)
            self._added += self.trace.headers

    @property
    def trace_context(self) -> TraceContext | None:
        """Context of the work on the request in its trace; None: it has none."""
        return None if self.trace is None else self.trace.context

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add a header to the response, whatever it will be."""
        self._added += ((name, value),)

    def left_s(self, deadline_s: float) -> float:
        """Rest of a deadline that began when HAProxy received the request; all of it if none did.

        HAProxy repeats a request whose orchestrator died. The first one answers until the deadline, so that a longer
        time can only come from the clocks of two nodes, and is ignored. Without HAProxy a caller can shorten its own.
        """
        received = self.headers.get(RECEIVED, b"")
        if not received.isdigit() or len(received) > 16:
            return deadline_s
        waited_s = time.time() - int(received) / 1000
        return round(deadline_s - waited_s, 3) if MIN_WAITED_S <= waited_s < deadline_s else deadline_s

    def own(self, request: Request) -> Request:
        """`request` as the caller's (see `Caller.own`), with the rest of its deadline."""
        owned = self.caller.own(request)
        if self.trace is not None:
            owned = replace(owned, trace=self.trace.context)
        if RECEIVED not in self.headers or owned.deadline_s is None:
            return owned
        return replace(owned, deadline_s=self.left_s(owned.deadline_s))

    async def body(self, limit_bytes: int, limit_s: float, on_piece: Callable[[int], None]) -> bytes:
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

    async def send(self, message: Message) -> None:
        """Send an ASGI message. The headers of every response are added, and HEAD gets no body."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            message = {**message, "headers": [*message["headers"], *self._added, *self.limit_headers]}
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    async def write(self, data: bytes, more: bool) -> None:
        """Send a piece of the body past FastAPI; `more` is False for the last one."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


class Api(FastAPI):
    """FastAPI with an exchange per request, and without the layers of its own that wrap every message.

    HEAD is answered as GET.
    """

    def __init__(
        self, echo_request_id: bool, cors: Cors | None, lifespan: Lifespan["Api"] | None, tracer: Tracer | None = None
    ) -> None:
        """Make the application without routes.

        Args:
            echo_request_id: send `x-request-id` back.
            cors: origins whose pages may read the answers.
            lifespan: of the application.
            tracer: starts a span for each request; None: nothing is traced.
        """
        self._echo_request_id, self._cors, self._tracer = echo_request_id, cors, tracer
        # The pages are made by `serving.api.routers.docs`.
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan)

    def build_middleware_stack(self) -> ASGIApp:
        """The router inside the exception handlers, which here take every exception."""
        return ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await _refuse_websocket(scope, send)
            return
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        exchange = HttpExchange(scope, receive, send, self._echo_request_id, self._cors, self._tracer)
        method = "GET" if exchange.method == "HEAD" else exchange.method
        inner = {**scope, "method": method, EXCHANGE: exchange}
        current = CURRENT.set(LogContext(exchange.request_id, exchange.trace_context))
        try:
            await super().__call__(inner, receive, exchange.send)
        except Exception as error:  # the response has begun: the HTTP server shows by closing that it is incomplete
            log_exception(logger, error, "request %s (%s) failed", exchange.request_id, exchange.engine_request_id)
            exchange.failure = exchange.failure or MoaError.code
            raise
        finally:
            CURRENT.reset(current)
            if exchange.trace is not None:
                exchange.trace.end(
                    request_id=exchange.request_id,
                    caller=exchange.caller.name,
                    route=getattr(inner.get("route"), "path", None),
                    status=exchange.status,
                    failure=exchange.failure,
                )


async def _refuse_websocket(scope: Scope, send: Send) -> None:
    """Answer the opening of a WebSocket with an HTTP error; a server without that extension answers 403 by itself."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1000})
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(NO_WEBSOCKETS)).encode())]
    await send({"type": "websocket.http.response.start", "status": 400, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": NO_WEBSOCKETS})
