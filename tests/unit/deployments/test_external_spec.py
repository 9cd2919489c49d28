"""Settings of external endpoints that reach their engines."""

import pytest

from deployments.external_spec import ExternalSpec
from serving.engines.openai import OpenAIEngine


@pytest.mark.parametrize("completions", [False, True])
def test_only_an_endpoint_with_completions_takes_prompts(completions: bool) -> None:
    spec = ExternalSpec(id="far", base_url="http://far/v1", context_tokens=8, completions=completions)
    assert spec.engine().info.raw_prompts is completions
    assert ExternalSpec(id="far", base_url="http://far/v1", context_tokens=8).completions is False


def test_by_default_no_event_is_so_large_that_reading_it_holds_up_others_for_long() -> None:
    spec = ExternalSpec(id="far", base_url="http://far/v1", context_tokens=8)
    assert spec.max_event_bytes == spec.engine().max_event_bytes == OpenAIEngine("far", "http://far/v1").max_event_bytes
    assert spec.max_event_bytes == 2**20


def test_limits_reach_the_engine() -> None:
    limits = {
        "connect_timeout_s": 1.5,
        "silence_timeout_s": 2.5,
        "usage_wait_s": 0.25,
        "max_event_bytes": 2048,
        "max_answer_bytes": 4096,
    }
    spec = ExternalSpec(id="far", base_url="http://far/v1", context_tokens=8, **limits)  # type: ignore[arg-type]
    assert {name: getattr(spec.engine(), name) for name in limits} == limits
