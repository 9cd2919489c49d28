"""Responses that an engine computes: JSON or server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving import sse
from serving.api import request_log
from serving.api.aliases import check_models, without_aliases
from serving.api.answer import Asked, EventEncoder
from serving.api.answer_cache import cached_answer
from serving.api.dependencies import Server
from serving.api.errors import JsonResponse, log_failure
from serving.api.exchange import ClientGone, HttpExchange
from serving.api.prompt_batch import merged
from serving.api.request_task import RequestTask
from serving.api.reservation import Reservation, Unlimited
from serving.api.send_buffer import SendBuffer
from serving.cache.cached_answer import CachedAnswer
from serving.cards import ModelCard
from serving.engine import checked, collect
from serving.errors import BudgetExceeded, IncompleteGeneration, InvalidRequest
from serving.telemetry import StreamOutcome
from serving.types import Delta, GenerateRequest, Report
from serving.usage import TokenUsage, UsageScope

SLOW_READER_S = 30.0  # beyond the deadline, for a client to read the rest of the answer


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
        asked: Callable[[ModelCard], Asked],
    ) -> None:
        """Answer with the engine of `card`; streamed if the request is.

        `asked`: the requests to a model or recipe. It is called again, with another card, if another one
        answers because the caller's budget has too little left. Raises what `asked` raises.
        """
        self.server, self.exchange, self._asked = server, exchange, asked
        self._take(card)
        self._note: str | None = None  # added to the reasons of the answer's report; stored with no answer
        self._beyond: BudgetExceeded | None = None  # another recipe answers because of it
        self._cached: CachedAnswer | None = None  # None: the response cache is off for the request
        self.background = None  # read by Starlette's users of responses
        self.status_code = 200

    def _take(self, card: ModelCard) -> None:
        """Set the model or recipe that answers, and the requests to it."""
        asked, exchange, aliases = self._asked(card), self.exchange, self.server.settings.aliases
        owned = tuple(exchange.own(each) for each in asked.requests)
        self.card, self.answer = card, asked.answer
        self.requests = tuple(without_aliases(each, aliases) for each in owned) if aliases else owned
        if exchange.caller.models is not None:
            served = {aliases.get(name, name) for name in exchange.caller.models}
            check_models(self.requests[0], self.server.cards, served)

    async def _reserved(self) -> Reservation | Unlimited:
        """Room in the caller's limits. If its budget has too little left, its recipe for that case answers."""
        try:
            return await self.server.reserve(self.exchange, self.card, self.requests)
        except BudgetExceeded as error:
            if (cheaper := self.server.over_budget_card(self.exchange.caller)) is None:
                raise
            note = f"{error.lack}; '{cheaper.id}' answered in place of the requested model."
            self._beyond = error
        self._take(cheaper)
        # `moa` is for the recipe that the caller asked for.
        self.requests = tuple(_as_it_is(each) for each in self.requests)
        reservation = await self.server.reserve(self.exchange, cheaper, self.requests, within_budgets=False)
        self._note = note
        self.exchange.add_header(b"x-moa-over-budget", cheaper.id.encode("latin-1", "replace"))
        return reservation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answered(scope, receive, send)
        except InvalidRequest:
            if self._beyond is None:
                raise
            # The request is valid for the model that it asks, not for the recipe that answers beyond the budget.
            raise self._beyond from None

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self.server.settings
        with (
            self.server.admission.permit(self.exchange.caller, len(self.requests)),
            await self._reserved() as reservation,
        ):
            engine = reservation.engine(self.server.engines[self.card.id])
            first, *more = requests = self.requests
            if self.server.cache is not None or first.moa.cache is not None:
                self._cached = cached_answer(self.server, self.card, engine, requests)
            if self._cached is not None:
                stream = self._cached.stream()
            else:
                stream = merged(self.card.id, engine, requests) if more else engine.generate(first)
            if self._note is not None:
                stream = _noted(stream, self._note)
            stream = self.answer.deltas(stream)
            recorded = self.server.recorder.recorded
            stream = recorded(
                self.exchange, requests, self.card, self.answer.id, stream, self._log if settings.log_requests else None
            )
            self.exchange.engine_asked = True
            if first.streaming:
                await self._streamed(stream, send)
            else:
                response = await self._whole(stream)
                await response(scope, receive, send)

    def _log(self, outcome: StreamOutcome) -> None:
        request = self.requests[0]
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


async def _noted(stream: AsyncGenerator[Delta, None], note: str) -> AsyncGenerator[Delta, None]:
    """`stream`, whose report has `note` among its reasons."""
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            if delta.report is not None:
                delta = replace(delta, report=replace(delta.report, reasons=(*delta.report.reasons, note)))
            yield delta


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
