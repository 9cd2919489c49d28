"""Bounds of replicas that the chart hands to Serve beside the profile."""

from typing import Any

import pytest
import yaml
from ray.llm._internal.serve.core.server.builder import _get_deployment_name
from ray.serve._private.application_state import override_deployment_info
from ray.serve._private.config import DeploymentConfig, ReplicaConfig
from ray.serve._private.deployment_info import DeploymentInfo
from ray.serve.schema import ServeApplicationSchema

from deployments.app import llm_config
from deployments.config import load_profile
from deployments.ingress.deployment import ingress_options, scaling
from deployments.model_spec import Replicas
from tests.support.paths import ROOT


def written() -> dict[str, Any]:
    """The application of the chart's default values, which are the profile `large`."""
    objects = yaml.load_all((ROOT / "tests/chart/golden/default.yaml").read_text(), yaml.CSafeLoader)
    (service,) = [one for one in objects if one and one["kind"] == "RayService"]
    (application,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    found: dict[str, Any] = application
    return found


def test_the_chart_names_every_deployment_of_the_application() -> None:
    """Serve refuses an application whose configuration names others."""
    profile = load_profile("large")
    names = {f"model:{_get_deployment_name(llm_config(profile, model))}" for model in profile.models}
    assert {one["name"] for one in written()["deployments"]} == {*names, ingress_options(profile)["name"]}


@pytest.mark.parametrize("built", [Replicas(min=1), Replicas(min=1, max=3), Replicas(min=0, max=3)])
def test_serve_takes_them_in_place_of_those_of_the_code(built: Replicas) -> None:
    bounds = {"min_replicas": 2, "max_replicas": 5, "target_ongoing_requests": 7}
    application = {**written(), "deployments": [{"name": "ingress", "autoscaling_config": bounds}]}
    info = DeploymentInfo(
        deployment_config=DeploymentConfig(**scaling(built)),
        replica_config=ReplicaConfig.create(object),
        start_time_ms=0,
        deployer_job_id="",
    )
    changed = override_deployment_info({"ingress": info}, ServeApplicationSchema(**application))
    config = changed["ingress"].deployment_config.autoscaling_config
    assert config is not None
    assert config.model_dump(include=set(bounds)) == bounds
