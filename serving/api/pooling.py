"""Requests that a pooling engine answers: admission, deadline, disconnects and the request log, as for all others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from serving.api import request_log
from serving.api.dependencies import Server
from serving.api.exchange import HttpExchange
from serving.api.request_task import RequestTask
from serving.api.reservation import Reservation, Unlimited
from serving.cards import ModelCard
from serving.pooling import EmbedRequest, RerankRequest, Scores, Vectors
from serving.telemetry import StreamOutcome
from serving.usage import TokenUsage

Asked = TypeVar("Asked", EmbedRequest, RerankRequest)
Result = TypeVar("Result", Vectors, Scores)


async def pooled(
    server: Server,
    exchange: HttpExchange,
    card: ModelCard,
    request: Asked,
    answer_id: str,
    compute: Callable[[Asked], Awaitable[Result]],
) -> Result:
    """Result of the engine's method `compute` for `request`, cancelled if the client disconnects.

    Raises:
        RateLimitExceeded: a limit of the caller is reached.
        BudgetExceeded: a budget of the caller has too little left, also if a recipe answers its other requests then.
        DeadlineExceeded: the work did not end within the server's deadline.
        MoaError: the engine's own error.
    """
    owned = exchange.own(request)

    async def logged(reservation: Reservation | Unlimited) -> Result:
        outcome = StreamOutcome()
        try:
            with outcome:
                result = await compute(owned)
                reservation.charge(TokenUsage(result.prompt_tokens))
                outcome.end(TokenUsage(result.prompt_tokens))
                return result
        finally:
            server.recorder.pooled(exchange, owned, card, answer_id, outcome)
            if server.settings.log_requests:
                request_log.write(exchange, card, answer_id, outcome, request.user, {})

    with await server.reserve(exchange, card, [request]) as reservation:
        exchange.engine_asked = True
        async with RequestTask(exchange, card.id, logged(reservation), server.settings.deadline_s) as request_task:
            await asyncio.wait({request_task.task})
            return request_task.result()
