"""Each feature of each client's program, on the embedded trio."""

from collections.abc import Callable
from typing import Any

import pytest

from scripts.clients_page import Client, clients

PROGRAMS = [client for client in clients() if client.program]
CASES = [pytest.param(client, name, id=f"{client.id}-{name}") for client in PROGRAMS for name in client.features]


def check_usage(usage: Any) -> None:
    prompt_tokens, completion_tokens = usage
    assert prompt_tokens > 0
    assert completion_tokens > 0


def check_chat(client: Client, result: Any) -> None:
    assert result["text"].strip()
    check_usage(result["usage"])


def check_stream(client: Client, result: Any) -> None:
    pieces = [piece for piece in result["pieces"] if piece.strip()]
    assert len(pieces) >= 2, "the answer came in one piece"
    check_usage(result["usage"])


def check_tools(client: Client, result: Any) -> None:
    """A model of this size errs: one of the questions is answered with the tool's result."""
    assert any(loop["calls"] and loop["right"] for loop in result)


def check_structured(client: Client, result: Any) -> None:
    assert result.keys() == {"parity", "certain"}
    assert result["parity"] in ("even", "odd")
    assert type(result["certain"]) is bool


def check_models(client: Client, result: Any) -> None:
    assert {"moa-lite", "moa", "tiny-qwen", "tiny-llama", "tiny-mixtral"} <= set(result)


def check_count(client: Client, result: Any) -> None:
    assert result > 5


def check_logprobs(client: Client, result: Any) -> None:
    """Three tokens of the prompt and one of the answer; nothing precedes the first."""
    assert len(result["tokens"]) == len(result["logprobs"]) == 4
    assert result["logprobs"][0] is None
    assert all(logprob <= 0 for logprob in result["logprobs"][1:])


def check_not_found(client: Client, result: Any) -> None:
    assert result["class"] == client.not_found
    assert "no-such-model" in result["message"]


CHECKS: dict[str, Callable[[Client, Any], None]] = {
    "chat": check_chat,
    "stream": check_stream,
    "tools": check_tools,
    "structured": check_structured,
    "structured_tools": check_structured,
    "models": check_models,
    "count": check_count,
    "logprobs": check_logprobs,
    "not_found": check_not_found,
}


@pytest.mark.parametrize(("client", "feature"), CASES)
def test_a_client_has_the_feature(outcomes: Any, client: Client, feature: str) -> None:
    outcome = outcomes(client)[feature]
    assert "error" not in outcome, outcome["error"]
    try:
        CHECKS[feature](client, outcome["result"])
    except AssertionError as error:
        raise AssertionError(f"{error}\nresult: {outcome['result']}") from error
