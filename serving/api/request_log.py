"""Request log: one line of JSON per request that reached an engine, for support and billing."""

import logging
from collections.abc import Mapping

import orjson

from serving.api.dialects.openai_json import usage_json
from serving.api.exchange import HttpExchange
from serving.cards import ModelCard
from serving.redaction import redacted
from serving.telemetry import StreamOutcome
from serving.usage import UNKNOWN_USAGE

logger = logging.getLogger("serving.requests")


class LoggedLine:
    """Line of the log, which becomes JSON only if a handler writes it as a message: `JsonFormatter` has `fields`."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        return orjson.dumps(self._fields).decode()


def enable() -> None:
    """Enable the log, on stderr if the process has configured no log handler."""
    logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())


def write(
    exchange: HttpExchange,
    card: ModelCard,
    answer_id: str,
    outcome: StreamOutcome,
    user: str | None,
    metadata: Mapping[str, str],
) -> None:
    """Write the line of one request; `user` and `metadata` are the caller's, `key` is the name of its key.

    A known key in a text of the caller's is left out.
    """
    line = {
        "request_id": exchange.request_id,
        "trace_id": None if exchange.trace_context is None else exchange.trace_context.trace,
        "id": answer_id,
        "key": exchange.caller.name,
        "model": card.id,
        "kind": card.kind,
        "outcome": outcome.code,
        "degraded": outcome.degraded,
        "cached": outcome.cached,
        "usage": usage_json(outcome.usage or UNKNOWN_USAGE),
        "seconds": round(outcome.total_s, 4),
        "user": None if user is None else redacted(user),
        "metadata": {redacted(name): redacted(value) for name, value in metadata.items()},
    }
    logger.info("%s", LoggedLine(line), extra={"fields": line})
