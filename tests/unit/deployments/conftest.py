"""Unit tests of the deployments run without Ray."""

from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some functions of Ray start a cluster if there is none: it takes a minute and is there for all later tests."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("this unit test would start a Ray cluster")

    monkeypatch.setattr("ray.init", refused)
    # `build_llm_deployment` asks for it: outside a job of Ray the environment is empty.
    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(runtime_env={}))
