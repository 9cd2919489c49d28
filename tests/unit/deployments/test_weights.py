"""Weights that are not on the machine that builds the application: the head of a cluster mounts none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ray.serve.llm import LLMConfig

from deployments.app import llm_config
from deployments.cluster import local
from deployments.config import AppArgs, Profile, load_profile
from deployments.model.engine_server import EngineServer
from deployments.model.pooling_server import PoolingServer
from deployments.model.server import LocalWeights, ModelServer
from deployments.model_spec import ModelSpec
from deployments.plan.checks import check_profile
from deployments.plan.memory import sizes
from deployments.plan.report import report
from deployments.weights import check_weights
from deployments.weights_source import ROOT
from serving.errors import ConfigError

RECORDED = sorted((ROOT / "tests" / "chart" / "golden" / "profiles").glob("*.yaml"))
PVC = load_profile(str(ROOT / "tests" / "chart" / "golden" / "profiles" / "large-pvc.yaml"))


def model(source: str, **more: Any) -> ModelSpec:
    return ModelSpec(id="m", source=source, engine_kwargs={"max_model_len": 8}, **more)


def test_every_source_of_the_chart_is_recorded_for_every_file_of_values() -> None:
    assert {path.stem for path in RECORDED} == {
        f"{values}-{source}" for values in ("large", "gpt-oss") for source in ("s3", "pvc", "nvme", "hub")
    }


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_head_of_a_cluster_accepts_the_charts_profile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(local, "start_cluster", lambda profile, args: False)
    profile, started = local.prepare(AppArgs(profile=str(path), autoscaling=True))
    assert (len(profile.models) >= 2, started) == (True, False)
    for one in profile.models:
        config = llm_config(profile, one)
        assert config.model_loading_config.model_source == one.source
        assert (config.callback_config.callback_class is LocalWeights) == one.source.startswith("/models/")


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_plan_of_the_charts_profile_needs_no_weights(path: Path) -> None:
    profile = load_profile(str(path))
    page = report(profile)
    assert all(one.id in page for one in profile.models)
    assert all(sizes(one).weights_gib > 10 for one in profile.models)


def test_a_machine_that_loads_the_weights_itself_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = (
        r"The folder '/models/llama-3.1-70b' with the weights of 'llama-3.1-70b' does not exist; correct its source"
    )
    with pytest.raises(ConfigError, match=sentence):
        check_profile(PVC)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(local.ray, "is_initialized", lambda: False)
    with pytest.raises(ConfigError, match=sentence):
        local.prepare(AppArgs(profile=str(RECORDED[0].with_stem("large-pvc"))))


def test_a_profile_on_a_cluster_is_checked_in_everything_else() -> None:
    first = PVC.models[0].model_copy(update={"gpu_memory_gib": 22.0})
    small: Profile = PVC.model_copy(update={"models": (first, *PVC.models[1:])})
    with pytest.raises(ConfigError, match="lower max_model_len, or give it more memory"):
        check_profile(small, weights_here=False)


def test_the_plan_of_a_model_whose_sizes_are_in_its_files_needs_them() -> None:
    tiny = load_profile("tiny")
    lost = tiny.models[0].model_copy(update={"source": "models/none", "fetch_command": "make none"})
    with pytest.raises(ConfigError, match=r"The weights of .* are not there yet; run: make none$"):
        report(tiny.model_copy(update={"models": (lost, *tiny.models[1:])}))


@pytest.mark.parametrize("server", [EngineServer, ModelServer, PoolingServer])
def test_a_replica_without_its_weights_says_so_before_its_engine_starts(
    server: type[EngineServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.model.engine_server.socket.gethostname", lambda: "node-7")
    config: LLMConfig = llm_config(PVC, PVC.models[0])
    arguments = (config, PVC.models[0], object) if server is EngineServer else (config, PVC.models[0])
    quiet = type("Quiet", (server,), {"__del__": lambda self: None})  # LLMServer's is a coroutine, which Serve awaits
    with pytest.raises(ConfigError) as caught:
        asyncio.run(quiet.__init__(quiet.__new__(quiet), *arguments))  # type: ignore[func-returns-value,arg-type]
    assert str(caught.value) == (
        f"The folder '{PVC.models[0].source}' with the weights of '{PVC.models[0].id}' does not exist on node node-7;"
        " correct its source."
    )


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_weights(model(str(tmp_path)), " on node a")
    assert str(caught.value) == (
        f"The folder '{tmp_path}' with the weights of 'm' is empty on node a; copy the weights to it, or"
        " correct its source."
    )
    (tmp_path / "config.json").write_text("{}")
    check_weights(model(str(tmp_path)))


@pytest.mark.parametrize("source", ["s3://bucket/m", "gs://bucket/m", "org/m"])
def test_weights_that_are_fetched_are_not_looked_for(source: str) -> None:
    check_weights(model(source))


def test_a_relative_folder_that_is_missing_is_no_id_of_the_hub() -> None:
    lost = model("models/none")
    assert llm_config(PVC, lost).model_loading_config.model_source == str(ROOT / "models" / "none")
