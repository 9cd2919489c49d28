"""Options that the dialects share, and those that one of them has."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.dialects.completions_requests import completions_requests, parse_completions
from serving.api.dialects.messages_requests import messages_request, parse_messages
from serving.api.dialects.responses_requests import parse_responses, responses_request
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engine import EngineInfo
from serving.errors import UnsupportedField
from serving.types import GenerateRequest
from tests.unit.serving.api.dialects.test_chat_requests import encoded

Convert = Callable[[Mapping[str, Any]], GenerateRequest]
SETTINGS = ApiSettings()
COMMON = (ModelCard("team", "recipe"), EngineInfo(), SETTINGS, "id-1")
USER = [{"role": "user", "content": "hi"}]


def chat(moa: Mapping[str, Any]) -> GenerateRequest:
    body = {"model": "team", "stream": True, "moa": moa, "messages": USER}
    return to_request(parse_chat(encoded(body), SETTINGS), *COMMON)


def responses(moa: Mapping[str, Any]) -> GenerateRequest:
    body = {"model": "team", "stream": True, "moa": moa, "input": USER}
    return responses_request(parse_responses(encoded(body), SETTINGS), *COMMON)


def messages(moa: Mapping[str, Any]) -> GenerateRequest:
    body = {"model": "team", "stream": True, "moa": moa, "messages": USER, "max_tokens": 9}
    return messages_request(parse_messages(encoded(body), SETTINGS), *COMMON)


def completions(moa: Mapping[str, Any]) -> GenerateRequest:
    body = {"model": "team", "stream": True, "moa": moa, "prompt": "hi"}
    (request,) = completions_requests(parse_completions(encoded(body), SETTINGS), *COMMON)
    return request


@pytest.mark.parametrize("moa", [{"events": True}, {"events": "text"}, {"show": "reasoning"}])
@pytest.mark.parametrize("convert", [responses, messages, completions])
def test_the_live_view_is_of_chat_completions_alone(convert: Convert, moa: Mapping[str, Any]) -> None:
    """Other encoders would leave the events out without a word."""
    (name,) = moa
    with pytest.raises(UnsupportedField) as caught:
        convert(moa)
    assert caught.value.param == f"moa.{name}"
    assert "only /v1/chat/completions has it" in str(caught.value)
    found = chat(moa).moa
    assert found.events is not None or found.show_reasoning


@pytest.mark.parametrize("convert", [chat, responses, messages, completions])
def test_a_trace_and_what_asks_for_nothing_are_of_all(convert: Convert) -> None:
    found = convert({"trace": True, "events": False, "show": "answer", "recipe": None}).moa
    assert (found.trace, found.events, found.show_reasoning) == (True, None, False)
