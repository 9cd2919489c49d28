"""`POST /v1/chat/completions`, streamed and not: one path through one engine."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import orjson

from serving import sse
from serving.api.admission import IN_FLIGHT, Admission, Intake
from serving.api.errors import error_json, log_failure
from serving.api.exchange import ClientGone, HttpExchange
from serving.api.request_log import logged, switch_on
from serving.api.requests import parse_chat, to_request
from serving.api.responses import ChunkEncoder, Head, completion_json
from serving.api.schema import ChatBody
from serving.api.settings import ApiSettings
from serving.api.streaming import RequestTask, SendBuffer
from serving.engine import Engine, checked, collect
from serving.errors import IncompleteGeneration, UnknownModel
from serving.types import Delta, ModelCard

SLOW_READER_S = 30.0  # beyond the deadline, for a caller to read what is left


class ChatCompletions:
    def __init__(self, engines: Mapping[str, Engine], cards: Mapping[str, ModelCard], settings: ApiSettings) -> None:
        self.engines, self.cards, self.settings = engines, cards, settings
        self.admission = Admission(settings.max_in_flight or IN_FLIGHT, settings.retry_after_s)
        self.intake = Intake(settings.max_reading_bytes, settings.retry_after_s)
        if settings.log_requests:
            switch_on()

    async def __call__(self, call: HttpExchange) -> None:
        """Answer `call`; errors before the response has begun are raised, later ones are sent in it."""
        self.admission.check()
        with self.intake.body() as take:
            raw = await call.json_body(self.settings.max_body_bytes, self.settings.body_timeout_s, take)
            body = parse_chat(raw, self.settings.max_messages)
        card = self.cards.get(body.model)
        if card is None:
            raise UnknownModel(body.model, tuple(self.cards))
        request = to_request(body, card, self.settings, call.work_id)
        with self.admission.permit():
            answer = _Answer(call, body, request.moa.trace, self.settings)
            stream = self.engines[card.id].generate(request)
            if self.settings.log_requests:
                stream = logged(call, request, card, stream)
            call.engine_asked = True
            await (answer.streamed(stream) if body.stream else answer.whole(stream))


class _Answer:
    def __init__(self, call: HttpExchange, body: ChatBody, trace: bool, settings: ApiSettings) -> None:
        self.call, self.body, self.settings = call, body, settings
        self.model = body.model
        self.head = Head(call.answer_id, int(time.time()), body.model)
        self.trace = trace

    async def whole(self, stream: AsyncGenerator[Delta, None]) -> None:
        """Answer with one JSON object."""
        folding = collect(self.model, stream, self.body.n)
        async with RequestTask(self.call, self.model, folding, self.settings.deadline_s) as work:
            await asyncio.wait({work.task})
            completion = work.result()
        degraded = completion.report is not None and completion.report.degraded
        headers = ((b"x-moa-degraded", b"true"),) if degraded else ()
        await self.call.respond(200, completion_json(self.head, completion, self.trace), headers)

    async def streamed(self, stream: AsyncGenerator[Delta, None]) -> None:
        """Answer with server-sent events."""
        options = self.body.stream_options
        usage = options is not None and options.include_usage
        encoder = ChunkEncoder(self.head, self.body.n, usage, self.trace)
        outbox = SendBuffer(encoder.roles(), self.settings.keep_alive_s)
        sending = _send(self.model, stream, encoder, outbox)
        async with RequestTask(self.call, self.model, sending, self.settings.deadline_s) as work:
            work.task.add_done_callback(lambda _: outbox.close())
            # An error before the first item has its own status; later there is only the stream to put it in.
            await asyncio.wait(
                {work.task, outbox.first},
                timeout=self.settings.first_item_wait_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work.task.done() and not outbox.first.done():
                work.result()
            await self.call.start(200, sse.HEADERS)
            try:
                # The work has its deadline. A caller that stops reading without hanging up must not keep its place.
                async with asyncio.timeout(self.settings.deadline_s + SLOW_READER_S):
                    while (data := await outbox.take()) is not None:
                        await self.call.write(data, more=True)
                    await self.call.write(self._last(work), more=False)
            except TimeoutError:
                raise ClientGone from None

    def _last(self, work: RequestTask[None]) -> bytes:
        """What remains to be said when the work has ended: nothing, or why it failed."""
        try:
            work.result()
        except ClientGone:
            return b""
        except Exception as error:
            log_failure(self.call, error)
            return sse.event(orjson.dumps(error_json(error))) + sse.DONE
        return b""


async def _send(model: str, stream: AsyncGenerator[Delta, None], encoder: ChunkEncoder, outbox: SendBuffer) -> None:
    async with aclosing(checked(model, stream)) as deltas:
        async for delta in deltas:
            if data := encoder.encode(delta):
                outbox.put(data)
                await outbox.room()
    if encoder.unfinished:
        raise IncompleteGeneration(model, f"choices {sorted(encoder.unfinished)} have no finish reason")
    outbox.put(sse.DONE)
