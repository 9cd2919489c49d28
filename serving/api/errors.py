"""Error responses: their JSON in OpenAI's format, their headers and their log line."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from serving.api.exchange import Headers, HttpExchange
from serving.api.responses import encodable
from serving.errors import BodyTooLarge, MoaError, SlowBody, Unauthorized, WrongMethod

logger = logging.getLogger("serving.api")


def error_json(error: BaseException) -> dict[str, Any]:
    """OpenAI's error object. An error that is not a `MoaError` is described without its message."""
    if isinstance(error, MoaError):
        return {
            "error": {"message": encodable(str(error)), "type": error.type, "param": error.param, "code": error.code}
        }
    message = "The server failed unexpectedly; its log has the details under the x-request-id of this response."
    return {"error": {"message": message, "type": MoaError.type, "param": None, "code": MoaError.code}}


def code_of(error: Exception) -> str:
    """Code of an error: one of a fixed set, without anything from the request."""
    return error.code if isinstance(error, MoaError) else MoaError.code


async def respond_error(exchange: HttpExchange, error: Exception, more: Mapping[str, Any] | None = None) -> None:
    """Send the response for `error`; the fields of `more` are added next to its error object."""
    status = error.status if isinstance(error, MoaError) else MoaError.status
    await exchange.respond(status, {**error_json(error), **(more or {})}, _headers(error))


def _headers(error: Exception) -> Headers:
    match error:
        case Unauthorized():
            return ((b"www-authenticate", b"Bearer"),)
        case WrongMethod():
            return ((b"allow", error.allowed.encode()),)
        case BodyTooLarge() | SlowBody():
            return ((b"connection", b"close"),)  # the rest of the body is not read
        case MoaError() if error.retry_after_s is not None:
            return ((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()),)
        case _:
            return ()


def log_failure(exchange: HttpExchange, error: Exception) -> None:
    """Log an error of the server: a `MoaError` in one line, any other with its traceback."""
    if not isinstance(error, MoaError):
        logger.error("request %s (%s) failed", exchange.request_id, exchange.engine_request_id, exc_info=error)
    elif error.status >= 500:
        logger.warning("request %s (%s): %s: %s", exchange.request_id, exchange.engine_request_id, error.code, error)
