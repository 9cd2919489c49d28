"""`/metrics` without a setting: on for a server that only this machine reaches."""

import pytest

from deployments import app
from deployments.config import AppArgs, load_profile
from deployments.metrics_setting import with_metrics


@pytest.mark.parametrize(
    ("host", "local", "keyed", "on"),
    [
        ("127.0.0.1", True, False, True),
        ("localhost", True, False, True),
        ("::1", True, False, True),
        ("127.0.0.1", True, True, False),
        ("127.0.0.1", False, False, False),
        ("0.0.0.0", True, False, False),
        ("::", True, False, False),
        ("10.0.0.4", True, False, False),
        ("a-host", True, False, False),
    ],
)
def test_metrics_are_on_where_only_this_machine_reaches_them(host: str, local: bool, keyed: bool, on: bool) -> None:
    assert with_metrics(load_profile("tiny"), host, local=local, keyed=keyed).api.metrics is on


@pytest.mark.parametrize("given", [True, False])
def test_a_setting_is_kept(given: bool) -> None:
    profile = load_profile("tiny")
    profile = profile.model_copy(update={"api": profile.api.model_copy(update={"metrics": given})})
    assert with_metrics(profile, "127.0.0.1", local=True, keyed=False).api.metrics is given
    assert with_metrics(profile, "0.0.0.0", local=False, keyed=True).api.metrics is given


@pytest.mark.parametrize(("key", "on"), [(None, True), ("a key", False)])
def test_the_server_is_built_with_it(monkeypatch: pytest.MonkeyPatch, key: str | None, on: bool) -> None:
    monkeypatch.setattr(app, "watch_start", lambda *_: None)
    monkeypatch.delenv("MOA_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("MOA_API_KEY", key)
    built = app.build(load_profile("tiny"), AppArgs(), local=True)
    [profile] = built._bound_deployment.init_args
    assert profile.api.metrics is on
