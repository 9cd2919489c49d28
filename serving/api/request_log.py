"""One line of JSON for each request that an engine was asked: what an operator needs to find it and to bill it."""

import asyncio
import logging
from collections.abc import AsyncGenerator

import orjson

from serving.api.answer import usage_json
from serving.api.call import Call
from serving.engine import closing
from serving.errors import MoaError
from serving.types import Delta, GenerateRequest, ModelCard, TokenUsage

logger = logging.getLogger("serving.requests")
NOTHING = TokenUsage(None, None, None)  # an answer that did not end has no counts


def switch_on() -> None:
    """Let the lines through; to stderr where nobody has set up where logs go."""
    logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())


async def logged(
    call: Call, request: GenerateRequest, card: ModelCard, stream: AsyncGenerator[Delta, None]
) -> AsyncGenerator[Delta, None]:
    """`stream`, with its line when it ends: "ok", "cancelled" or an error's code."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome, degraded, usage = "cancelled", False, NOTHING
    try:
        async with closing(stream) as deltas:
            async for delta in deltas:
                if delta.usage is not None:
                    outcome, usage = "ok", delta.usage
                    degraded = delta.report is not None and delta.report.degraded
                yield delta
    except MoaError as error:
        outcome = error.code
        raise
    except Exception:
        outcome = MoaError.code
        raise
    finally:
        line = {
            "request_id": call.request_id,
            "id": call.answer_id,
            "model": card.id,
            "kind": card.kind,
            "outcome": outcome,
            "degraded": degraded,
            "usage": usage_json(usage),
            "seconds": round(loop.time() - began, 4),
            "user": request.user,
            "metadata": dict(request.metadata),
        }
        logger.info("%s", orjson.dumps(line).decode())
