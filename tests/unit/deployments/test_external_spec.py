"""Settings of external endpoints that reach their engines."""

import pytest

from deployments.external_spec import ExternalSpec


@pytest.mark.parametrize("completions", [False, True])
def test_only_an_endpoint_with_completions_takes_prompts(completions: bool) -> None:
    spec = ExternalSpec(id="far", base_url="http://far/v1", context_tokens=8, completions=completions)
    assert spec.engine().info.raw_prompts is completions
    assert ExternalSpec(id="far", base_url="http://far/v1", context_tokens=8).completions is False
