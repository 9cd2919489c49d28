"""Translation of an endpoint's errors. Its message is passed on only if it concerns the caller: never for keys."""

import json
import re
from collections.abc import Mapping
from typing import Any

from serving.errors import (
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    MoaError,
    Overloaded,
)
from serving.types import GenerateRequest

# The two numbers in the messages of vLLM, OpenAI and this server about a prompt that is too long.
CONTEXT_TOKENS = re.compile(r"(?:context length is|context of '[^']*' holds) (\d+) tokens")
PROMPT_TOKENS = re.compile(
    r"contains (?:at least )?(\d+) input tokens|\((\d+) in the messages"
    r"|resulted in (\d+) tokens|prompt has (?:at least )?(\d+) tokens"
)


def error_of_response(
    model: str, status: int, headers: Mapping[str, str], body: bytes, request: GenerateRequest
) -> MoaError:
    """Error for a response whose status is not 200."""
    error = _error_object(body)
    message = str(error.get("message") or "").strip()[:500]
    if status in (401, 403):
        return EngineFailed(model, f"its endpoint does not accept the API key (status {status})")
    if status == 429:
        return Overloaded(f"The endpoint of '{model}' has too many requests; try again later.", _retry_after_s(headers))
    if status == 503:
        return EngineUnavailable(model, "its endpoint answered with status 503")
    if status in (400, 413, 422):
        return _refused(model, message, error.get("param"), request)
    return EngineFailed(model, f"its endpoint answered with status {status}{_because(message)}")


def error_of_stream(model: str, error: object) -> MoaError:
    """Error for an error object inside a stream."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    message = str(fields.get("message") or "").strip()[:500]
    if fields.get("code") in (DeadlineExceeded.code, 504):
        return EngineFailed(model, f"its endpoint exceeded its own deadline{_because(message)}")
    if fields.get("code") in (Overloaded.code, 429):
        return Overloaded(f"The endpoint of '{model}' has too many requests; try again later.")
    return EngineFailed(model, f"its endpoint failed during the answer{_because(message)}")


def _refused(model: str, message: str, param: object, request: GenerateRequest) -> InvalidRequest:
    context, prompt = CONTEXT_TOKENS.search(message), PROMPT_TOKENS.search(message)
    if context and prompt:
        prompt_tokens = next(int(group) for group in prompt.groups() if group)
        field = "messages" if request.prompt is None else request.prompt.path
        return ContextTooLong(model, prompt_tokens, int(context[1]), request.sampling.max_tokens or 0, field)
    name = param if isinstance(param, str) else None
    if name is not None and request.prompt is not None and name.startswith("prompt"):
        name = request.prompt.path + name.removeprefix("prompt")  # of several prompts, each is sent alone
    return InvalidRequest(f"The endpoint of '{model}' refused the request{_because(message)}.", name)


def _because(message: str) -> str:
    return f": {message.rstrip('.')}" if message else ""


def _retry_after_s(headers: Mapping[str, str]) -> float:
    try:
        return min(max(float(headers.get("retry-after", "")), 0.1), 3600.0)
    except ValueError:
        return 1.0


def _error_object(body: bytes) -> dict[str, Any]:
    """Error object of a body, as OpenAI, older vLLM versions and other servers write it; empty if there is none."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    error = parsed.get("error", parsed)
    return error if isinstance(error, dict) else {"message": str(error)}
