"""Checks of a cluster before the application starts on it, and its reports."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.cluster import local
from deployments.cluster.local import check_gpus, start_cluster
from deployments.config import AppArgs, Profile, load_profile
from deployments.model_spec import Replicas
from serving.errors import ConfigError


def cluster(monkeypatch: pytest.MonkeyPatch, **resources: float) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: resources)


def large(accelerator_type: str | None = None) -> Profile:
    profile = load_profile("large")
    changed = profile.models[0].model_copy(update={"accelerator_type": accelerator_type})
    return profile.model_copy(update={"models": (changed, *profile.models[1:])})


def test_a_cluster_with_too_few_gpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch, GPU=5)
    with pytest.raises(ConfigError, match="'large' needs 6 GPUs, but the cluster has 5; add nodes"):
        check_gpus(large())
    cluster(monkeypatch, GPU=6)
    check_gpus(large())


def test_a_cluster_has_gpus_for_the_models_that_only_requests_start(monkeypatch: pytest.MonkeyPatch) -> None:
    rests = {"replicas": Replicas(min=0, max=1)}
    profile = large()
    resting = profile.model_copy(update={"models": tuple(m.model_copy(update=rests) for m in profile.models)})
    cluster(monkeypatch, GPU=1)
    with pytest.raises(ConfigError, match="needs 2 GPUs, but the cluster has 1"):
        check_gpus(resting)
    cluster(monkeypatch, GPU=2)
    check_gpus(resting)


def test_a_cluster_without_the_accelerator_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resources: dict[str, Any] = {"GPU": 6, "accelerator_type:L4": 1}
    cluster(monkeypatch, **resources)
    with pytest.raises(ConfigError, match=r"'qwen2\.5-72b' needs H100 GPUs, but the cluster has none"):
        check_gpus(large("H100"))
    check_gpus(large("L4"))


def test_a_profile_for_cpus_needs_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch, CPU=2)
    check_gpus(load_profile("tiny"))
    check_gpus(load_profile("endpoints"))


def test_reports_of_a_cluster_that_is_joined_are_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", lambda **options: seen.append(options))
    context = SimpleNamespace(get_temp_dir=lambda: "/tmp/ray", get_session_name=lambda: "session_1")
    monkeypatch.setattr("ray.get_runtime_context", lambda: context)
    monkeypatch.setattr(local, "shorten_reports", lambda *given: seen.extend(given))
    assert start_cluster(load_profile("tiny"), AppArgs()) is False
    options, logs, say = seen
    assert options == {"namespace": "serve"}
    assert logs == Path("/tmp/ray/session_1/logs")
    say("a line")
    assert capsys.readouterr().err == "a line\n"
