"""Record of each request that was passed to an engine: tokens, cost, times and outcome, for all dialects."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import orjson

from serving.api.exchange import HttpExchange
from serving.cards import ModelCard
from serving.pooling import EmbedRequest, RerankRequest
from serving.redaction import redacted
from serving.store.record_values import CallRecord, RequestRecord
from serving.store.records import RecordedAnswer, Records
from serving.telemetry import NO_RECIPE, Observer, StreamOutcome, collect_calls
from serving.types import AgentTrace, Delta, GenerateRequest
from serving.usage import UNKNOWN_USAGE, TokenUsage

# Outcomes of requests that were refused before any model has computed anything.
REFUSED = frozenset(
    {
        "context_length_exceeded",
        "input_too_long",
        "invalid_request",
        "limit_exceeded",
        "overloaded",
        "unsupported_field",
    }
)
MODEL_ROLE = "model"  # of the call of a single model


class AnswerSampler(Protocol):
    """Receiver of a share of the answers, after they have ended."""

    def wants(self, answer_id: str) -> bool:
        """True if the text of this answer is wanted."""

    def add(self, request: GenerateRequest, answer: RecordedAnswer, text: str) -> None:
        """Take one whole, undegraded answer. Must not block and must not raise."""

    def start(self) -> None:
        """Begin to work in the background."""

    async def close(self) -> None:
        """End the work in the background."""


class AnswerText:
    """Text of the first choice of a stream, and whether it ended by itself and called no tools."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.whole = False
        self._called = False

    def add(self, delta: Delta) -> None:
        """Take one delta into account."""
        if delta.index == 0:
            self._pieces.append(delta.text)
            self._called = self._called or bool(delta.tool_calls)
            self.whole = (self.whole or delta.finish_reason == "stop") and not self._called

    @property
    def text(self) -> str:
        return "".join(self._pieces)


class Recorder:
    """Makes a record of each request when it ends, for the store, the metrics of keys and the sample of answers."""

    def __init__(
        self,
        cards: Mapping[str, ModelCard],
        observer: Observer,
        records: Records | None = None,
        sampler: AnswerSampler | None = None,
    ) -> None:
        """Record the requests of one server.

        Args:
            cards: by model id, with the prices.
            observer: receives the tokens and dollars of each key.
            records: the store of records; None: nothing is stored.
            sampler: gets a share of the answers.
        """
        self._prices = {card.id: card.price for card in cards.values()}
        self._observer, self.records, self.sampler = observer, records, sampler

    async def recorded(
        self,
        exchange: HttpExchange,
        requests: Sequence[GenerateRequest],
        card: ModelCard,
        answer_id: str,
        stream: AsyncGenerator[Delta, None],
        on_end: Callable[[StreamOutcome], None] | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """`stream`, and the record of its requests when it ends; then `on_end` is called with its outcome.

        `answer_id` is the id in the answer's JSON.
        """
        outcome = StreamOutcome()
        calls = collect_calls()
        plain = len(requests) == 1 and requests[0].prompt is None
        sampled = self.sampler is not None and plain and self.sampler.wants(answer_id)
        answer = AnswerText() if sampled or self._texts else None
        try:
            with outcome:
                async with aclosing(stream) as deltas:
                    async for delta in deltas:
                        outcome.add(delta)
                        if answer is not None:
                            answer.add(delta)
                        yield delta
        finally:
            if on_end is not None:
                on_end(outcome)
            first = requests[0]
            records = self._call_records(card, outcome, calls, MODEL_ROLE)
            recipe = NO_RECIPE if card.kind == "model" else first.moa.recipe or card.id
            record = RequestRecord(
                **_about(exchange, card, answer_id, outcome, first),
                recipe=outcome.report.recipe if outcome.report is not None and card.kind == "recipe" else recipe,
                streamed=first.streaming,
                prompts=len(requests),
                calls=records,
                reasons=() if outcome.report is None else outcome.report.reasons,
                prompt_text=_conversation(requests) if self._texts else None,
                answer_text=redacted(answer.text) if answer is not None and self._texts else None,
            )
            self._add(record)
            if sampled and answer is not None and not outcome.cached:  # a stored answer was sampled when it was made
                self._sample(first, record, answer)

    def pooled(
        self,
        exchange: HttpExchange,
        request: EmbedRequest | RerankRequest,
        card: ModelCard,
        answer_id: str,
        outcome: StreamOutcome,
    ) -> None:
        """Record a request that a model that embeds or ranks has answered."""
        record = RequestRecord(
            **_about(exchange, card, answer_id, outcome, request),
            recipe=NO_RECIPE,
            streamed=False,
            prompts=len(request.inputs) if isinstance(request, EmbedRequest) else len(request.documents),
            calls=self._call_records(card, outcome, (), card.task),
        )
        self._add(record)

    def _call(self, trace: AgentTrace) -> CallRecord:
        """Record of one agent's call."""
        usd, priced = self._usd(trace.model, trace.usage)
        place = (trace.model, trace.role, trace.layer, trace.agent)
        return CallRecord(*place, trace.status, trace.usage, usd, priced, trace.elapsed_s, trace.timing.ttft_s)

    @property
    def _texts(self) -> bool:
        return self.records is not None and self.records.settings.texts

    def _sample(self, request: GenerateRequest, record: RequestRecord, answer: AnswerText) -> None:
        whole = record.outcome == "ok" and answer.whole and not record.degraded
        if self.sampler is not None and whole and answer.text.strip():
            about = RecordedAnswer(record.answer_id, record.key, record.model, record.proposers)
            self.sampler.add(request, about, answer.text)

    def _add(self, record: RequestRecord) -> None:
        self._observer.key_used(record.key, record.usage)
        if self.records is not None:
            self.records.add(record)

    def _call_records(
        self, card: ModelCard, outcome: StreamOutcome, calls: Sequence[AgentTrace], role: str
    ) -> tuple[CallRecord, ...]:
        """Records of a request's calls: those of its agents, or the one of the model; none of a stored answer."""
        if outcome.cached:
            return ()
        if calls:
            return tuple(self._call(trace) for trace in calls)
        if outcome.usage is None and (card.kind == "recipe" or outcome.code in REFUSED):
            return ()
        usage = outcome.usage or UNKNOWN_USAGE
        usd, priced = self._usd(card.id, usage)
        return (CallRecord(card.id, role, 1, 0, outcome.code, usage, usd, priced, outcome.total_s, outcome.ttft_s),)

    def _usd(self, model: str, usage: TokenUsage) -> tuple[float | None, bool]:
        """Dollars of a call, if its tokens and the model's price are known; and whether the model has a price."""
        price = self._prices.get(model)
        return usage.usd(price), price is not None


def _about(
    exchange: HttpExchange,
    card: ModelCard,
    answer_id: str,
    outcome: StreamOutcome,
    request: GenerateRequest | EmbedRequest | RerankRequest,
) -> dict[str, Any]:
    """Fields of a record that all requests have."""
    caller = exchange.caller
    return {
        "id": exchange.engine_request_id,
        "at": time.time(),
        "request_id": exchange.request_id,
        "answer_id": answer_id,
        "key": caller.name,
        "tenant": caller.tenant.id,
        "path": exchange.path,
        "model": card.id,
        "priority_class": caller.priority_class,
        "priority": request.priority,
        "ttft_s": outcome.ttft_s,
        "total_s": outcome.total_s,
        "outcome": outcome.code,
        "degraded": outcome.degraded,
    }


def _conversation(requests: Sequence[GenerateRequest]) -> str:
    """Conversations of all prompts as JSON, without images and without known keys."""
    texts = [
        [{"role": message.role, "content": message.content} for message in request.messages]
        if request.prompt is None
        else request.prompt.content
        for request in requests
    ]
    return redacted(orjson.dumps(texts[0] if len(texts) == 1 else texts).decode())
