"""Error responses: their JSON in OpenAI's format, their headers and their log line."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import JSONResponse

from serving.api.exchange import HttpExchange
from serving.errors import BodyTooLarge, BudgetExceeded, MoaError, SlowBody, Unauthorized, WrongMethod
from serving.failures import log_exception
from serving.surrogates import well_formed

logger = logging.getLogger("serving.api")
Json = dict[str, Any]


class JsonResponse(JSONResponse):
    """JSON, encoded by orjson."""

    def render(self, content: Any) -> bytes:
        """Encode `content`."""
        return orjson.dumps(content)


def encodable(text: str) -> str:
    """`text` with U+FFFD for lone surrogates, which UTF-8 cannot encode: an engine may split a pair."""
    return text if text.isascii() else well_formed(text)


def error_json(error: BaseException) -> Json:
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


def error_response(error: Exception, content: Mapping[str, Any] | None = None) -> JsonResponse:
    """Response for `error`, with `content` in place of OpenAI's error object."""
    status = error.status if isinstance(error, MoaError) else MoaError.status
    return JsonResponse(error_json(error) if content is None else content, status, _headers(error))


def allow(methods: Sequence[str]) -> str:
    """Value of the `allow` header of a path with these methods: each path also has OPTIONS, and HEAD if it has GET."""
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case Unauthorized():
            return {"www-authenticate": "Bearer"}
        case WrongMethod():
            return {"allow": allow(error.allowed.split(", "))}
        case BodyTooLarge() | SlowBody():
            return {"connection": "close"}  # the rest of the body is not read
        case BudgetExceeded():  # clients repeat a request after a 429, except with this header
            return {**_retry_after(error), "x-should-retry": "false"}
        case MoaError() if error.retry_after_s is not None:
            return _retry_after(error)
        case _:
            return {}


def _retry_after(error: MoaError) -> dict[str, str]:
    return {"retry-after": str(max(1, math.ceil(error.retry_after_s or 0)))}


def log_failure(exchange: HttpExchange, error: Exception) -> None:
    """Log an error of the server: a `MoaError` in one line, any other with its traceback."""
    ids = exchange.request_id, exchange.engine_request_id
    exchange.failure = code_of(error)
    if isinstance(error, MoaError):
        if error.status >= 500:
            logger.warning("request %s (%s): %s: %s", *ids, error.code, error)
    else:
        log_exception(logger, error, "request %s (%s) failed", *ids)
