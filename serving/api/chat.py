"""`POST /v1/chat/completions`: whole answers and streams, by the same call of the same engine."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import orjson

from serving import sse
from serving.api import request_log
from serving.api.admission import IN_FLIGHT, Admission, BodyBudget
from serving.api.errors import error_json, log_failure
from serving.api.exchange import ClientGone, HttpExchange
from serving.api.live import LiveChunkEncoder, with_panel
from serving.api.requests import parse_chat, to_request
from serving.api.responses import AnswerInfo, ChunkEncoder, completion_json, without_reasoning
from serving.api.schema import ChatBody
from serving.api.settings import ApiSettings
from serving.api.streaming import RequestTask, SendBuffer
from serving.engine import Engine, checked, collect
from serving.errors import IncompleteGeneration, UnknownModel
from serving.types import Delta, MoaOptions, ModelCard

SLOW_READER_S = 30.0  # beyond the deadline, for a client to read the rest of the answer


class ChatCompletions:
    """The chat endpoint over all engines."""

    def __init__(self, engines: Mapping[str, Engine], cards: Mapping[str, ModelCard], settings: ApiSettings) -> None:
        """Serve `engines`, described by `cards`, both by model id."""
        self.engines, self.cards, self.settings = engines, cards, settings
        self.admission = Admission(settings.max_in_flight or IN_FLIGHT, settings.retry_after_s)
        self.body_budget = BodyBudget(settings.max_reading_bytes, settings.retry_after_s)
        if settings.log_requests:
            request_log.enable()

    async def __call__(self, exchange: HttpExchange) -> None:
        """Answer the request. Errors before the response has begun are raised, later ones are sent in the stream."""
        self.admission.check()
        with self.body_budget.body() as add_bytes:
            raw = await exchange.json_body(self.settings.max_body_bytes, self.settings.body_timeout_s, add_bytes)
            body = parse_chat(raw, self.settings)
        card = self.cards.get(body.model)
        if card is None:
            raise UnknownModel(body.model, tuple(self.cards))
        engine = self.engines[card.id]
        request = to_request(body, card, engine.info, self.settings, exchange.engine_request_id, exchange.headers)
        with self.admission.permit():
            answer = _Answer(exchange, body, request.moa, self.settings)
            stream = engine.generate(request)
            if not body.include_reasoning:
                stream = without_reasoning(stream)
            if self.settings.log_requests:
                stream = request_log.logged(exchange, request, card, stream)
            if request.moa.show_reasoning:
                stream = with_panel(stream, events=request.moa.events is not None)
            exchange.engine_asked = True
            await (answer.streamed(stream) if body.stream else answer.whole(stream))


class _Answer:
    """The response to one chat request."""

    def __init__(self, exchange: HttpExchange, body: ChatBody, moa: MoaOptions, settings: ApiSettings) -> None:
        self.exchange, self.body, self.settings = exchange, body, settings
        self.model = body.model
        self.info = AnswerInfo(exchange.answer_id, int(time.time()), body.model)
        self.trace, self.events = moa.trace, moa.events

    async def whole(self, stream: AsyncGenerator[Delta, None]) -> None:
        """Answer with one JSON object."""
        collecting = collect(self.model, stream, self.body.n)
        async with RequestTask(self.exchange, self.model, collecting, self.settings.deadline_s) as request_task:
            await asyncio.wait({request_task.task})
            completion = request_task.result()
        degraded = completion.report is not None and completion.report.degraded
        headers = ((b"x-moa-degraded", b"true"),) if degraded else ()
        await self.exchange.respond(200, completion_json(self.info, completion, self.trace), headers)

    async def streamed(self, stream: AsyncGenerator[Delta, None]) -> None:
        """Answer with server-sent events."""
        options = self.body.stream_options
        usage = options is not None and options.include_usage
        if self.events is not None:
            reasoning = self.body.include_reasoning
            encoder: ChunkEncoder = LiveChunkEncoder(
                self.info, self.body.n, usage, self.trace, self.events, reasoning=reasoning
            )
        else:
            encoder = ChunkEncoder(self.info, self.body.n, usage, self.trace)
        buffer = SendBuffer(encoder.roles(), self.settings.keep_alive_s)
        encoding = _encode(self.model, stream, encoder, buffer)
        async with RequestTask(self.exchange, self.model, encoding, self.settings.deadline_s) as request_task:
            request_task.task.add_done_callback(lambda _: buffer.close())
            # An error before the first item has its own status; a later one can only be sent in the stream.
            await asyncio.wait(
                {request_task.task, buffer.first_item},
                timeout=self.settings.first_item_wait_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if request_task.task.done() and not buffer.first_item.done():
                request_task.result()
            await self.exchange.start(200, sse.HEADERS)
            try:
                # The task has its own deadline. A client that stops reading but stays connected must not hold its
                # place any longer.
                async with asyncio.timeout(self.settings.deadline_s + SLOW_READER_S):
                    while (data := await buffer.get()) is not None:
                        await self.exchange.write(data, more=True)
                    await self.exchange.write(self._last_events(request_task), more=False)
            except TimeoutError:
                raise ClientGone from None

    def _last_events(self, request_task: RequestTask[None]) -> bytes:
        """Events to send when the task has ended: none, or its error."""
        try:
            request_task.result()
        except ClientGone:
            return b""
        except Exception as error:
            log_failure(self.exchange, error)
            return sse.event(orjson.dumps(error_json(error))) + sse.DONE
        return b""


async def _encode(model: str, stream: AsyncGenerator[Delta, None], encoder: ChunkEncoder, buffer: SendBuffer) -> None:
    async with aclosing(checked(model, stream)) as deltas:
        async for delta in deltas:
            if data := encoder.encode(delta):
                buffer.put(data)
                await buffer.wait_for_room()
    if encoder.unfinished:
        raise IncompleteGeneration(model, f"choices {sorted(encoder.unfinished)} have no finish reason")
    buffer.put(sse.DONE)
