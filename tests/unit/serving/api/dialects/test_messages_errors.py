"""Errors in Anthropic's shape."""

import pytest
from anthropic.types import ErrorResponse

from serving.api.dialects.messages_errors import messages_error
from serving.errors import (
    BodyTooLarge,
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    MoaError,
    Overloaded,
    SlowBody,
    Unauthorized,
    UnknownModel,
    UnsupportedField,
    WrongContentType,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("Wrong.", "messages"), "invalid_request_error"),
        (UnsupportedField("seed"), "invalid_request_error"),
        (WrongContentType("content-type", "text/plain", "application/json"), "invalid_request_error"),
        (Unauthorized(), "authentication_error"),
        (UnknownModel("x", ("m",)), "not_found_error"),
        (SlowBody(1), "timeout_error"),
        (BodyTooLarge(1), "request_too_large"),
        (Overloaded("Full."), "rate_limit_error"),
        (EngineFailed("m", "it is broken"), "api_error"),
        (EngineUnavailable("m"), "overloaded_error"),
        (DeadlineExceeded("'m'", 5), "timeout_error"),
        (MoaError(), "api_error"),
        (ValueError("a secret"), "api_error"),
    ],
)
def test_each_error_has_anthropics_type(error: Exception, kind: str) -> None:
    body = messages_error(error, "req-1")
    assert (body["type"], body["error"]["type"], body["request_id"]) == ("error", kind, "req-1")
    assert (body["error"]["param"], "secret" in body["error"]["message"]) == (getattr(error, "param", None), False)
    if kind != "request_too_large":  # which Anthropic's server sends, and its types do not have
        ErrorResponse.model_validate(body)


@pytest.mark.parametrize(
    ("error", "beginning"),
    [
        (ContextTooLong("m", 210, 200), "prompt is too long: 210 tokens > 200 maximum. The prompt has 210 tokens"),
        (ContextTooLong("m", 210, 200, 50), "prompt is too long: 210 tokens > 200 maximum. "),
        (ContextTooLong("m", 180, 200, 50), "input length and `max_tokens` exceed context limit: 180 + 50 > 200. "),
    ],
)
def test_a_prompt_that_is_too_long_is_told_in_anthropics_words(error: ContextTooLong, beginning: str) -> None:
    assert messages_error(error, "r")["error"]["message"].startswith(beginning)


def test_a_tool_runner_is_told_that_there_are_no_threads() -> None:
    details = messages_error(UnsupportedField("thread"), "r")["error"]["details"]
    assert details["error_code"] == "thread_unsupported_request"
    assert "details" not in messages_error(UnsupportedField("container"), "r")["error"]
