"""Translation of an endpoint's errors. Callers read its message only where it refused their request."""

import json
import logging
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, overload

from serving.errors import (
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    MoaError,
    Overloaded,
)
from serving.failures import said
from serving.surrogates import well_formed
from serving.types import GenerateRequest

REFUSED = (400, 413, 422)  # statuses that are the caller's fault
MAX_MESSAGE_CHARS = 4096  # that are read of an endpoint's message
MAX_PARAM_CHARS = 128
DEFAULT_RETRY_AFTER_S = 1.0
RETRY_AFTER_S = (0.1, 3600.0)
# The two numbers in the messages of vLLM, OpenAI and this server about a prompt that is too long.
CONTEXT_TOKENS = re.compile(r"(?:context length is|context of '[^']*' holds) (\d+) tokens")
PROMPT_TOKENS = re.compile(
    r"contains (?:at least )?(\d+) input tokens|\((\d+) in the messages"
    r"|resulted in (\d+) tokens|prompt has (?:at least )?(\d+) tokens"
)

logger = logging.getLogger(__name__)


def error_of_response(
    model: str, status: int, headers: Mapping[str, str], body: bytes, request: GenerateRequest
) -> MoaError:
    """Error for a response whose status is not 200."""
    error = _error_object(body)
    message = _message(error)
    if status in REFUSED:
        return _refused(model, message, error.get("param"), request)
    if status in (401, 403):  # their messages may quote the key
        return EngineFailed(model, f"its endpoint does not accept the API key (status {status})")
    _log(model, f"status {status}", message)
    if status == 429:
        return _overloaded(model, _retry_after_s(headers))
    if status == 503:
        return EngineUnavailable(model, "its endpoint answered with status 503", _retry_after_s(headers, default=None))
    hint = ", a redirect, which is not followed" if 300 <= status < 400 else ""
    return EngineFailed(model, f"its endpoint answered with status {status}{hint}")


def error_of_stream(model: str, error: object) -> MoaError:
    """Error for an error object inside a stream, or for the data of an event named `error`."""
    fields = error if isinstance(error, dict) else {"message": error}
    _log(model, "an error in the stream", _message(fields))
    codes = {one for one in (fields.get("code"), fields.get("type")) if isinstance(one, str | int)}
    if codes & {DeadlineExceeded.code, 504}:
        return EngineFailed(model, "its endpoint exceeded its own deadline")
    if codes & {Overloaded.code, "overloaded_error", "rate_limit_error", "rate_limit_exceeded", 429}:
        return _overloaded(model, DEFAULT_RETRY_AFTER_S)
    return EngineFailed(model, "its endpoint failed during the answer")


def _log(model: str, what: str, message: str) -> None:
    """Keep an endpoint's own words for the operator: callers get ours."""
    logger.warning("the endpoint of '%s': %s%s", model, what, _because(message))


def _overloaded(model: str, retry_after_s: float) -> Overloaded:
    return Overloaded(f"The endpoint of '{model}' has too many requests; try again later.", retry_after_s)


def _message(error: Mapping[str, Any]) -> str:
    """The message of an error object in one line, without secrets."""
    given = error.get("message")
    return said(well_formed(given[:MAX_MESSAGE_CHARS])) if isinstance(given, str) else ""


def _refused(model: str, message: str, param: object, request: GenerateRequest) -> InvalidRequest:
    context, prompt = CONTEXT_TOKENS.search(message), PROMPT_TOKENS.search(message)
    if context and prompt:
        prompt_tokens = next(int(group) for group in prompt.groups() if group)
        field = "messages" if request.prompt is None else request.prompt.path
        return ContextTooLong(model, prompt_tokens, int(context[1]), request.sampling.max_tokens or 0, field)
    name = said(well_formed(param[:MAX_PARAM_CHARS])) if isinstance(param, str) else None
    if name is not None and request.prompt is not None and name.startswith("prompt"):
        name = request.prompt.path + name.removeprefix("prompt")  # of several prompts, each is sent alone
    return InvalidRequest(f"The endpoint of '{model}' refused the request{_because(message)}.", name)


def _because(message: str) -> str:
    return f": {message}" if message else ""


@overload
def _retry_after_s(headers: Mapping[str, str]) -> float: ...
@overload
def _retry_after_s(headers: Mapping[str, str], *, default: None) -> float | None: ...
def _retry_after_s(headers: Mapping[str, str], *, default: float | None = DEFAULT_RETRY_AFTER_S) -> float | None:
    """Seconds of a `retry-after` header, a number or a date, within `RETRY_AFTER_S`; `default` if it says nothing."""
    given = headers.get("retry-after", "").strip()
    try:
        seconds = float(given)
    except ValueError:
        try:
            date = parsedate_to_datetime(given)
            seconds = max((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time(), 0.0)
        except (ValueError, OverflowError, IndexError, TypeError):
            return default
    if not math.isfinite(seconds) or seconds < 0:
        return default
    least, most = RETRY_AFTER_S
    return min(max(seconds, least), most)


def _error_object(body: bytes) -> Mapping[str, Any]:
    """Error object of a body, as OpenAI, older vLLM versions and other servers write it; empty if there is none."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(parsed, dict):
        return {}
    error = parsed.get("error", parsed)
    return error if isinstance(error, dict) else {"message": error}
