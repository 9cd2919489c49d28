"""Responses that an engine computes: the task that computes one, and the buffer between the task and the client."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Generic, Self, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving import sse
from serving.api import request_log
from serving.api.aliases import check_models, without_aliases
from serving.api.answer import Answer, EventEncoder
from serving.api.answer_cache import cached_answer
from serving.api.dependencies import Server
from serving.api.errors import JsonResponse, log_failure
from serving.api.exchange import ClientGone, HttpExchange
from serving.api.prompt_batch import merged
from serving.cache.cached_answer import CachedAnswer
from serving.cards import ModelCard
from serving.engine import checked, collect
from serving.errors import DeadlineExceeded, EngineFailed, IncompleteGeneration
from serving.telemetry import StreamOutcome
from serving.types import Delta, GenerateRequest, Report
from serving.usage import TokenUsage, UsageScope

T = TypeVar("T")
SLOW_READER_S = 30.0  # beyond the deadline, for a client to read the rest of the answer
# The engine has the same deadline. The API waits a little longer, so that the engine can end the request itself and
# report it as a timeout: cancelled from here, it could not tell a deadline from a client that left.
EXTRA_SHARE, MAX_EXTRA_S = 0.25, 1.0
FULL_BYTES = 2**20  # size of a full buffer: a client that reads more slowly slows the engine down


class RequestTask(Generic[T]):
    """Runs a coroutine in a task of its own, so that an engine's stream is opened, read and closed in one task.

    A context manager: the task has ended when the block ends. It is cancelled if the client disconnects.
    """

    def __init__(
        self, exchange: HttpExchange, model: str, coroutine: Coroutine[None, None, T], deadline_s: float
    ) -> None:
        """Start `coroutine`, which is cancelled a little later than what is left of `deadline_s`.

        `model` is named in errors.
        """
        self.model = model
        self._coroutine = coroutine
        self.task = asyncio.create_task(self._limited(exchange.left_s(deadline_s)))
        self._disconnect = asyncio.create_task(exchange.disconnected())
        self._disconnect.add_done_callback(lambda _: self._cancel())

    def _cancel(self) -> None:
        """Cancel the task once: a second cancellation would interrupt its cleanup."""
        if not self.task.cancelling():
            self.task.cancel()

    async def _limited(self, deadline_s: float) -> T:
        try:
            async with asyncio.timeout(deadline_s + min(deadline_s * EXTRA_SHARE, MAX_EXTRA_S)) as limit:
                return await self._coroutine
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded(f"'{self.model}'", deadline_s) from None
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks: set[asyncio.Task[T] | asyncio.Task[None]] = {self.task, self._disconnect}
        self._cancel()
        self._disconnect.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # retrieved, or asyncio logs it as never retrieved
        self._coroutine.close()  # a task that is cancelled before its first step has not started it

    def result(self) -> T:
        """Result of the coroutine, once the task is done.

        Raises:
            ClientGone: the client closed the connection.
            EngineFailed: the engine's task was cancelled from elsewhere.
            MoaError: the coroutine's own error.
        """
        if not self.task.cancelled():
            return self.task.result()
        if self._disconnect.done():
            raise ClientGone
        raise EngineFailed(self.model, "its task was cancelled")


class SendBuffer:
    """Bytes waiting to be sent. `get` returns all of them joined: nothing is delayed, and a burst is one write.

    Attributes:
        first_item: done once something has been put, so that the response can wait for it.
    """

    def __init__(self, prelude: bytes, keep_alive_s: float) -> None:
        """Start with `prelude`; after `keep_alive_s` without an item, a comment is sent."""
        self._loop = asyncio.get_running_loop()
        self._pieces = [prelude] if prelude else []
        self._size = len(prelude)
        self._closed = False
        self._getter: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None
        self.first_item: asyncio.Future[None] = self._loop.create_future()
        self._keep_alive_s = keep_alive_s
        self._put_at = self._loop.time()
        self._timer = self._loop.call_later(keep_alive_s, self._tick)

    def put(self, data: bytes) -> None:
        """Add one item."""
        self._pieces.append(data)
        self._size += len(data)
        self._put_at = self._loop.time()
        if not self.first_item.done():
            self.first_item.set_result(None)
        self._wake_getter()

    async def wait_for_room(self) -> None:
        """Return when less than `FULL_BYTES` are waiting. For one task at a time."""
        while self._size >= FULL_BYTES and not self._closed:
            self._putter = self._loop.create_future()
            await self._putter

    def close(self) -> None:
        """End the buffer: `get` returns the rest, then None."""
        self._closed = True
        self._timer.cancel()
        self._wake_getter()

    async def get(self) -> bytes | None:
        """Wait for data and return all of it; None at the end. For one task at a time."""
        while not self._pieces:
            if self._closed:
                return None
            self._getter = self._loop.create_future()
            await self._getter
        data = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        self._size = 0
        if self._putter is not None and not self._putter.done():
            self._putter.set_result(None)
        return data

    def _wake_getter(self) -> None:
        if self._getter is not None and not self._getter.done():
            self._getter.set_result(None)

    def _tick(self) -> None:
        silent_s = self._loop.time() - self._put_at
        if silent_s >= self._keep_alive_s:
            # Not `put`: a comment is not an item. One waiting comment is enough for a client that reads slowly.
            if not self._pieces:
                self._pieces.append(sse.KEEP_ALIVE)
                self._wake_getter()
            self._put_at, silent_s = self._loop.time(), 0.0
        self._timer = self._loop.call_later(self._keep_alive_s - silent_s, self._tick)


class GenerationResponse(Response):
    """The response to a request that an engine answers: JSON or server-sent events.

    It holds an admission permit as long as it lives. Errors before the response has begun are raised, later ones are
    sent in the stream.
    """

    def __init__(
        self,
        server: Server,
        exchange: HttpExchange,
        card: ModelCard,
        request: GenerateRequest,
        answer: Answer,
        more: Sequence[GenerateRequest] = (),
    ) -> None:
        """Answer `request` with the engine of `card`; streamed if the request is. `more`: its other prompts."""
        self.server, self.exchange, self.card, self.answer = server, exchange, card, answer
        aliases = server.settings.aliases
        owned, *others = (exchange.own(each) for each in (request, *more))
        self.request = without_aliases(owned, aliases) if aliases else owned
        self.more = [without_aliases(each, aliases) for each in others] if aliases else others
        if exchange.caller.models is not None:
            check_models(self.request, server.cards, {aliases.get(name, name) for name in exchange.caller.models})
        if exchange.over_budget is not None:  # `moa` is for the recipe that the caller asked for
            self.request = _as_it_is(self.request)
            self.more = [_as_it_is(each) for each in self.more]
        self._cached: CachedAnswer | None = None  # None: the response cache is off for the request
        self.background = None  # read by Starlette's users of responses
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self.server.settings
        engine = self.server.engines[self.card.id]
        requests = (self.request, *self.more)
        with (
            self.server.admission.permit(self.exchange.caller, len(requests)),
            await self.server.reserve(self.exchange, self.card, requests) as reservation,
        ):
            engine = reservation.engine(engine)
            if self.server.cache is not None or self.request.moa.cache is not None:
                self._cached = cached_answer(self.server, self.card, engine, requests)
            if self._cached is not None:
                stream = self._cached.stream()
            else:
                stream = merged(self.card.id, engine, requests) if self.more else engine.generate(self.request)
            stream = self.answer.deltas(stream)
            recorded = self.server.recorder.recorded
            stream = recorded(
                self.exchange, requests, self.card, self.answer.id, stream, self._log if settings.log_requests else None
            )
            self.exchange.engine_asked = True
            if self.request.streaming:
                await self._streamed(stream, send)
            else:
                response = await self._whole(stream)
                await response(scope, receive, send)

    def _log(self, outcome: StreamOutcome) -> None:
        request = self.request
        request_log.write(self.exchange, self.card, self.answer.id, outcome, request.user, request.metadata)

    async def _whole(self, stream: AsyncGenerator[Delta, None]) -> Response:
        """One JSON object."""
        model = self.card.id
        collecting = collect(model, stream, self.answer.choices)
        async with RequestTask(self.exchange, model, collecting, self.server.settings.deadline_s) as request_task:
            await asyncio.wait({request_task.task})
            completion = request_task.result()
        completion = replace(
            completion, usage=usage_in_scope(completion.usage, completion.report, self.server.settings.usage)
        )
        headers: dict[str, str] = {} if self._cached is None else {"x-moa-cache": self._cached.status}
        if completion.report is not None and completion.report.degraded:
            headers["x-moa-degraded"] = "true"
        return JsonResponse(self.answer.whole(completion), headers=headers or None)

    async def _streamed(self, stream: AsyncGenerator[Delta, None], send: Send) -> None:
        """Send server-sent events."""
        settings, model = self.server.settings, self.card.id
        encoder = self.answer.events()
        buffer = SendBuffer(encoder.opening(), settings.keep_alive_s)
        encoding = _encode(model, stream, encoder, buffer, settings.usage)
        async with RequestTask(self.exchange, model, encoding, settings.deadline_s) as request_task:
            request_task.task.add_done_callback(lambda _: buffer.close())
            # An error before the first item has its own status; a later one can only be sent in the stream.
            await asyncio.wait(
                {request_task.task, buffer.first_item},
                timeout=settings.first_item_wait_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if request_task.task.done() and not buffer.first_item.done():
                request_task.result()
            headers = [*sse.HEADERS]
            if self._cached is not None:
                headers.append((b"x-moa-cache", self._cached.status.encode()))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            try:
                # The task has its own deadline. A client that stops reading but stays connected must not hold its
                # place any longer: the HTTP server closes the connection, as the response is not complete.
                async with asyncio.timeout(settings.deadline_s + SLOW_READER_S):
                    # In a task of its own, a wait resumes one coroutine. Here it would resume all of FastAPI's around
                    # this one, many of them, which costs time with every token.
                    await asyncio.create_task(self._send_pieces(buffer))
                    await self.exchange.write(self._last_events(request_task, encoder), more=False)
            except TimeoutError:
                return

    async def _send_pieces(self, buffer: SendBuffer) -> None:
        while (data := await buffer.get()) is not None:
            await self.exchange.write(data, more=True)

    def _last_events(self, request_task: RequestTask[None], encoder: EventEncoder) -> bytes:
        """Events to send when the task has ended: none, or its error."""
        try:
            request_task.result()
        except ClientGone:
            return b""
        except Exception as error:
            log_failure(self.exchange, error)
            return encoder.failure(error)
        return b""


def _as_it_is(request: GenerateRequest) -> GenerateRequest:
    """`request` to a recipe as the operator has made it."""
    return replace(request, moa=replace(request.moa, recipe=None, overrides={}))


def usage_in_scope(team: TokenUsage, report: Report | None, scope: UsageScope) -> TokenUsage:
    """Usage that the client sees of an answer that cost `team`; a single model's has no report."""
    return team if scope == "team" or report is None or report.answer_usage is None else report.answer_usage


async def _encode(
    model: str, stream: AsyncGenerator[Delta, None], encoder: EventEncoder, buffer: SendBuffer, scope: UsageScope
) -> None:
    async with aclosing(checked(model, stream)) as deltas:
        async for delta in deltas:
            if delta.usage is not None:
                delta = replace(delta, usage=usage_in_scope(delta.usage, delta.report, scope))
            if data := encoder.encode(delta):
                buffer.put(data)
                await buffer.wait_for_room()
    if encoder.unfinished:
        raise IncompleteGeneration(model, f"choices {sorted(encoder.unfinished)} have no finish reason")
    if data := encoder.closing():
        buffer.put(data)
