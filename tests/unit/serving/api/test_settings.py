"""Keys and limits of the API, checked when they are set."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from serving.api import ApiSettings, create_app
from serving.cards import ModelCard
from serving.engines.scripted import ScriptedEngine

M = {"m": ScriptedEngine("m")}


KEYS = (SecretStr("first"), SecretStr("second"))


@pytest.mark.parametrize("key", [SecretStr(""), SecretStr("  "), (), (SecretStr("a"), SecretStr(""))])
def test_an_empty_key_is_refused_because_it_would_let_everyone_in(key: Any) -> None:
    with pytest.raises(ValidationError, match="let everyone in"):
        ApiSettings(api_key=key)
    with pytest.raises(ValueError, match="let everyone in"):
        create_app(M, [ModelCard("m", "model")], ApiSettings().model_copy(update={"api_key": key}))


@pytest.mark.parametrize("key", ["sk-hidden\nx", "sk-hidden\u00e9", "sk-hid\tden"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ApiSettings(api_key=("good", key))
    assert "an API key has" in str(caught.value)
    assert "sk-hid" not in str(caught.value)


def test_keys_do_not_show() -> None:
    assert "second" not in repr(ApiSettings(api_key=KEYS)) + ApiSettings(api_key=KEYS).model_dump_json()


@pytest.mark.parametrize("settings", [{"x": 1}, {"max_in_flight": 0}, {"keep_alive_s": 0}])
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(**settings)


def test_the_largest_body_can_always_be_read() -> None:
    with pytest.raises(ValidationError, match="max_reading_bytes must be at least max_body_bytes"):
        ApiSettings(max_reading_bytes=2**20)
