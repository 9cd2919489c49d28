"""Fields of an endpoint's chunks, checked: finish reasons, token counts, log probabilities."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from serving.conversation import FinishReason
from serving.surrogates import well_formed
from serving.types import TokenLogprob
from serving.usage import TokenUsage

MAX_COUNT = 10**9  # a larger number of tokens is no count
# In the words of OpenAI and of other servers, in lower case. Any other reason is a "stop": the answer is there.
FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "max_completion_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "content-filter": "content_filter",
    "content_filtered": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
}
# Reasons by which an endpoint says that the answer is cut through its own fault.
FAILURES = ("error", "abort", "aborted", "cancelled", "insufficient_system_resource")


class InvalidChunk(ValueError):
    """A chunk has a field that cannot be used; the message says which."""


def finish_reason(given: object) -> FinishReason | Literal["failed"] | None:
    """Finish reason in our words; None if there is none; "failed" if the endpoint says that it failed."""
    if not given:
        return None
    word = given.strip().lower() if isinstance(given, str) else ""
    if word in FAILURES:
        return "failed"
    return FINISH_REASONS.get(word, "stop") if word or not isinstance(given, str) else None


def usage_of(raw: Mapping[str, Any]) -> TokenUsage:
    """Token counts; None for each that is not given or cannot be one."""
    prompt, completion = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    cached = _count(raw.get("prompt_tokens_details"), "cached_tokens")
    reasoning = _count(raw.get("completion_tokens_details"), "reasoning_tokens")
    return TokenUsage(prompt, completion, _part(cached, prompt), _part(reasoning, completion))


def _count(raw: object, name: str) -> int | None:
    count = raw.get(name) if isinstance(raw, dict) else None
    return count if type(count) is int and 0 <= count <= MAX_COUNT else None


def _part(part: int | None, whole: int | None) -> int | None:
    return None if part is None or (whole is not None and part > whole) else part


def string(given: object, name: str) -> str:
    """A field that is a string or not given. Raises `InvalidChunk`."""
    if given is None:
        return ""
    if not isinstance(given, str):
        raise InvalidChunk(f"{name} is not a string")
    return given


def logprob(raw: object) -> TokenLogprob:
    """Log probability of a token and its alternatives, whose own are left out. Raises `InvalidChunk`."""
    if not isinstance(raw, dict):
        raise InvalidChunk("a logprob is not an object")
    top = raw.get("top_logprobs") or ()
    if not isinstance(top, list | tuple):
        raise InvalidChunk("top_logprobs is not a list")
    return _token(raw, tuple(_token(other) for other in top))


def _token(raw: object, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    if not isinstance(raw, dict):
        raise InvalidChunk("a logprob is not an object")
    token, given = string(raw.get("token"), "token"), raw.get("bytes")
    if "token" not in raw:
        raise InvalidChunk("a logprob has no token")
    if given is not None and not (
        isinstance(given, list) and all(type(one) is int and 0 <= one < 256 for one in given)
    ):
        raise InvalidChunk("bytes is not a list of bytes")
    return TokenLogprob(well_formed(token), number(raw.get("logprob"), "logprob"), bytes(given or ()), top)


def number(given: object, name: str) -> float:
    """A field that is a number other than NaN. Raises `InvalidChunk`."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise InvalidChunk(f"{name} is not a number")
    try:
        value = float(given)
    except OverflowError:
        value = math.nan
    if math.isnan(value):
        raise InvalidChunk(f"{name} is not a number")
    return value
