"""Errors as responses: the one place where they get OpenAI's shape, their headers and their log line."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from serving.api.exchange import Headers, HttpExchange
from serving.api.responses import valid
from serving.errors import BodyTooLarge, MoaError, SlowBody, Unauthorized, WrongMethod

logger = logging.getLogger("serving.api")


def error_json(error: BaseException) -> dict[str, Any]:
    """OpenAI's error object. Of an error that is not ours nothing is told."""
    if isinstance(error, MoaError):
        return {"error": {"message": valid(str(error)), "type": error.type, "param": error.param, "code": error.code}}
    message = "The server failed in an unexpected way; its log has the details under this request's x-request-id."
    return {"error": {"message": message, "type": MoaError.type, "param": None, "code": MoaError.code}}


def code_of(error: Exception) -> str:
    """The word for programs, from a closed set: nothing of the request is in it."""
    return error.code if isinstance(error, MoaError) else MoaError.code


async def respond_error(call: HttpExchange, error: Exception, more: Mapping[str, Any] | None = None) -> None:
    """The whole response for `error`; `more` stands beside its error object."""
    status = error.status if isinstance(error, MoaError) else MoaError.status
    await call.respond(status, {**error_json(error), **(more or {})}, _headers(error))


def _headers(error: Exception) -> Headers:
    match error:
        case Unauthorized():
            return ((b"www-authenticate", b"Bearer"),)
        case WrongMethod():
            return ((b"allow", error.allowed.encode()),)
        case BodyTooLarge() | SlowBody():
            return ((b"connection", b"close"),)  # the rest of the body shall not be read
        case MoaError() if error.retry_after_s is not None:
            return ((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()),)
        case _:
            return ()


def log_failure(call: HttpExchange, error: Exception) -> None:
    """The operator's side of an error: its own kind in one line, any other with its traceback."""
    if not isinstance(error, MoaError):
        logger.error("request %s (%s) failed", call.request_id, call.work_id, exc_info=error)
    elif error.status >= 500:
        logger.warning("request %s (%s): %s: %s", call.request_id, call.work_id, error.code, error)
