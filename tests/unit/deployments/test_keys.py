"""The cards by which keys of a profile are checked before anything starts."""

import pytest

from deployments.config import load_profile
from deployments.keys import cards_of
from serving.api.key_checks import check_keys
from serving.api.settings import ApiSettings
from serving.errors import ConfigError


def test_keys_of_a_profile_can_name_its_models_and_recipes() -> None:
    profile = load_profile("tiny")
    cards = cards_of(profile)
    assert {"tiny-qwen", "moa-lite"} <= set(cards)
    key = {"name": "a", "key": "key of a"}
    check_keys(ApiSettings(keys=[{**key, "models": ["moa-lite", "tiny-qwen"]}]), cards, has_store=True)
    with pytest.raises(ConfigError, match="'moa-x' is not one of"):
        check_keys(ApiSettings(keys=[{**key, "models": ["moa-x"]}]), cards, has_store=True)
