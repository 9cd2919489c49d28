"""Sessions: what belongs to one conversation gets one key, and a key gives nothing away."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.dialects.chat_requests import HASHED_CHARACTERS, LONG_CHARACTERS, parse_chat, session_key, to_request
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Message
from serving.engine import EngineInfo
from serving.engines.scripted import ScriptedEngine
from serving.errors import InvalidRequest
from tests.support.api import app_of, chat, client_of

SYSTEM, ASKED = Message("system", "Be brief."), Message("user", "What is 2 + 2?")
LATER = (Message("assistant", "4"), Message("user", "And 3 + 3?"))
NONE: Mapping[bytes, bytes] = {}


def key(*messages: Message, name: str | None = None, headers: Mapping[bytes, bytes] = NONE, tools: bool = False) -> Any:
    return session_key(name, headers, messages, tools=tools)


def test_a_name_wins_over_a_header_and_a_header_over_the_conversation() -> None:
    header = {b"x-session-id": b"s"}
    named = key(ASKED, name="n", headers=header, tools=True)
    from_header = key(ASKED, headers=header, tools=True)
    from_beginning = key(ASKED, tools=True)
    assert len({named, from_header, from_beginning}) == 3
    assert named == key(SYSTEM, *LATER, name="n")
    assert from_header == key(SYSTEM, *LATER, headers={**header, b"x-claude-code-session-id": b"other"})
    assert key(ASKED, headers={b"x-claude-code-session-id": b"s"}) == from_header


def test_empty_names_are_no_names() -> None:
    assert key(ASKED, name="", headers={b"x-session-id": b""}) is None


def test_a_conversation_keeps_its_key_while_it_grows() -> None:
    assert (
        key(SYSTEM, ASKED, tools=True) == key(SYSTEM, ASKED, *LATER) == key(SYSTEM, ASKED, *LATER, *LATER, tools=True)
    )
    assert key(SYSTEM, ASKED, *LATER) != key(ASKED, *LATER)


def test_a_short_question_that_nothing_follows_has_no_session() -> None:
    assert key(SYSTEM, ASKED) is None
    assert key(Message("user", "x" * LONG_CHARACTERS)) is not None
    assert key(Message("system", "x" * (LONG_CHARACTERS - len(ASKED.content))), ASKED) is not None


def test_a_conversation_without_a_user_has_a_key() -> None:
    assert key(SYSTEM, tools=True) != key(SYSTEM, Message("assistant", "4"), tools=True)


def test_very_long_messages_are_known_by_their_beginnings() -> None:
    text = "x" * HASHED_CHARACTERS
    assert key(Message("user", text + "a")) == key(Message("user", text + "b"))


@given(st.text(min_size=1))
def test_a_key_is_a_digest(name: str) -> None:
    found = key(ASKED, name=name)
    assert len(found) == 32
    assert set(found) <= set("0123456789abcdef")
    assert found == key(name=name)


def test_requests_carry_the_key() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    settings, card = ApiSettings(), ModelCard("m", "model")

    def request_session(headers: Mapping[bytes, bytes] = NONE, **fields: Any) -> str | None:
        parsed = parse_chat(json.dumps({**body, **fields}).encode(), settings)
        return to_request(parsed, card, EngineInfo(), settings, "r", headers).session

    assert request_session() is None
    assert request_session(prompt_cache_key="secret") == key(name="secret")
    assert request_session({b"x-session-id": b"secret"}) == key(headers={b"x-session-id": b"secret"})
    with pytest.raises(InvalidRequest, match="prompt_cache_key"):
        request_session(prompt_cache_key="x" * 513)


async def test_the_header_reaches_the_engine() -> None:
    engine = ScriptedEngine()
    async with client_of(app_of({"m": engine}), **{"X-Session-ID": "s"}) as client:
        await client.post("/v1/chat/completions", json=chat())
    assert engine.requests[0].session == key(headers={b"x-session-id": b"s"})
