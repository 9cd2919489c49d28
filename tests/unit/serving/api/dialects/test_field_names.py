"""Errors from below the dialects, in the words of a dialect."""

import pytest

from serving.api.dialects.field_names import OF_MESSAGES, OF_RESPONSES, renamed
from serving.api.dialects.responses_json import error_of
from serving.api.errors import error_json
from serving.engines.scripted import ScriptedEngine
from serving.errors import ContextTooLong, EngineFailed, InvalidRequest, LimitExceeded, UnsupportedField
from tests.support.api import app_of, client_of


def test_both_fields_of_a_context_that_is_too_long_are_named() -> None:
    error = ContextTooLong("m", 10, 100, 8192)
    shown = error_json(renamed(error, OF_RESPONSES))["error"]
    assert shown["param"] == "input"
    assert shown["message"] == (
        "The prompt has 10 tokens and max_output_tokens asks for 8192 more, but the context of 'm' holds 100 tokens;"
        " shorten 'input' or lower max_output_tokens."
    )
    assert error_of(error)["message"] == shown["message"]
    assert str(renamed(error, OF_MESSAGES)) == str(error)


@pytest.mark.parametrize(
    ("error", "names", "param", "message"),
    [
        (UnsupportedField("logprobs", "no"), OF_RESPONSES, "top_logprobs", "Remove 'top_logprobs': no."),
        (UnsupportedField("continue_final_message"), OF_MESSAGES, "messages[-1]", None),
        (LimitExceeded("tokens", 9, 8, "max_tokens"), OF_RESPONSES, "max_output_tokens", None),
        (InvalidRequest("Set 'stop' lower.", "stop"), OF_MESSAGES, "stop_sequences", "Set 'stop_sequences' lower."),
        (InvalidRequest("No.", "response_format.a.b"), OF_RESPONSES, "text.format.a.b", "No."),
        (InvalidRequest("No.", "input[0]"), OF_RESPONSES, "input[0]", "No."),
        (InvalidRequest("No."), OF_RESPONSES, None, "No."),
    ],
)
def test_the_field_has_the_name_that_the_caller_knows(
    error: InvalidRequest, names: dict[str, str], param: str | None, message: str | None
) -> None:
    shown = renamed(error, names)
    assert isinstance(shown, InvalidRequest)
    assert (type(shown), shown.param, shown.code) == (type(error), param, error.code)
    if message is not None:
        assert str(shown) == message


def test_other_errors_stay_as_they_are() -> None:
    error = EngineFailed("m", "it is broken")
    assert renamed(error, OF_MESSAGES) is error


@pytest.mark.parametrize(
    ("path", "names", "body"),
    [
        ("/v1/responses", OF_RESPONSES, {"input": "x"}),
        ("/v1/messages", OF_MESSAGES, {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5}),
    ],
)
async def test_a_field_of_another_dialect_has_the_name_that_the_client_sent(
    path: str, names: dict[str, str], body: dict[str, object]
) -> None:
    async with client_of(app_of({"m": ScriptedEngine("m")})) as client:
        for name in names:
            error = (await client.post(path, json={"model": "m", **body, name: 5})).json()["error"]
            assert error["param"] == name
            assert error["message"].startswith(f"Remove '{name}': there is no such field")
