"""One line of JSON for each request that an engine was asked: what an operator needs to find it and to bill it."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson

from serving.api.exchange import HttpExchange
from serving.api.responses import usage_json
from serving.telemetry import StreamOutcome
from serving.types import Delta, GenerateRequest, ModelCard, TokenUsage

logger = logging.getLogger("serving.requests")
NOTHING = TokenUsage(None, None, None)  # an answer that did not end has no counts


def switch_on() -> None:
    """Let the lines through; to stderr where nobody has set up where logs go."""
    logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())


async def logged(
    call: HttpExchange, request: GenerateRequest, card: ModelCard, stream: AsyncGenerator[Delta, None]
) -> AsyncGenerator[Delta, None]:
    """`stream`, with its line when it ends: "ok", "cancelled" or an error's code."""
    outcome = StreamOutcome()
    try:
        with outcome:
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    outcome.add(delta)
                    yield delta
    finally:
        line = {
            "request_id": call.request_id,
            "id": call.answer_id,
            "model": card.id,
            "kind": card.kind,
            "outcome": outcome.code,
            "degraded": outcome.degraded,
            "usage": usage_json(outcome.usage or NOTHING),
            "seconds": round(outcome.total_s, 4),
            "user": request.user,
            "metadata": dict(request.metadata),
        }
        logger.info("%s", orjson.dumps(line).decode())
