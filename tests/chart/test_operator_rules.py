"""Rules of the KubeRay operator that no CRD contains: it refuses or resets a service that breaks them."""

import json

import pytest
import yaml
from render import CHART, FIXED, MATRIX, Object, groups, helm, of_kind, ray_cluster, ray_templates, text

CASES = pytest.mark.parametrize("case", MATRIX)


def env(template: Object) -> dict[str, str | None]:
    return {entry["name"]: entry.get("value") for entry in template["spec"]["containers"][0]["env"]}


@CASES
def test_the_name_is_short_enough(case: str) -> None:
    (service,) = of_kind(case, "RayService")
    assert len(service["metadata"]["name"]) <= 47


@CASES
def test_token_auth_with_the_key_that_kuberay_reads(case: str) -> None:
    cluster = ray_cluster(case)
    assert cluster["authOptions"]["mode"] == "token"
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0)
    for secret in of_kind(case, "Secret"):
        if secret["metadata"]["name"] == cluster["authOptions"]["secretName"]:
            assert set(secret["stringData"]) == {"auth_token"}
    for template in ray_templates(case).values():
        assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & set(env(template)), "the operator sets them"


@CASES
def test_no_redis_parameters_beside_the_fault_tolerance_options(case: str) -> None:
    cluster = ray_cluster(case)
    (service,) = of_kind(case, "RayService")
    assert not {"redis-password", "redis-username"} & set(cluster["headGroupSpec"]["rayStartParams"])
    assert not {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME"} & set(env(ray_templates(case)["head"]))
    assert not {"ray.io/ft-enabled", "ray.io/external-storage-namespace"} & set(service["metadata"]["annotations"])
    assert ("gcsFaultToleranceOptions" in cluster) == (case not in ("tiny", "no-fault-tolerance"))


@CASES
def test_autoscaler_v2_leaves_the_restart_policy_alone(case: str) -> None:
    cluster = ray_cluster(case)
    assert ("autoscalerOptions" in cluster) == cluster["enableInTreeAutoscaling"]
    if cluster["enableInTreeAutoscaling"]:
        assert cluster["autoscalerOptions"]["version"] == "v2"
    for template in ray_templates(case).values():
        assert "restartPolicy" not in template["spec"]
        assert "RAY_enable_autoscaler_v2" not in env(template)


@CASES
def test_groups_have_bounds_and_resources_in_one_place(case: str) -> None:
    for name, group in groups(case).items():
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"], name
        assert len(name) <= 63
        assert "labels" not in group["rayStartParams"]
        assert "resources" not in group, "rayStartParams has them; the operator refuses both"


@CASES
def test_nothing_behind_a_feature_gate(case: str) -> None:
    assert not {"networkPolicy", "tlsOptions", "historyServerOptions", "upgradeStrategy"} & set(ray_cluster(case))
    assert "backend" not in ray_cluster(case).get("gcsFaultToleranceOptions", {"backend": "redis"}) or (
        ray_cluster(case).get("gcsFaultToleranceOptions", {}).get("backend", "redis") == "redis"
    )


@CASES
def test_the_ray_container_is_the_first(case: str) -> None:
    for template in ray_templates(case).values():
        assert template["spec"]["containers"][0]["name"].startswith("ray-")


@CASES
def test_serve_is_told_of_haproxy_before_it_starts(case: str) -> None:
    for template in ray_templates(case).values():
        variables = env(template)
        assert variables["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
        assert variables["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "1"


@CASES
def test_a_replaced_proxy_keeps_its_streams_as_long_as_a_request_may_take(case: str) -> None:
    deadline_s = yaml.safe_load((CHART / "values.yaml").read_text())["api"]["deadlineSeconds"]
    for template in ray_templates(case).values():
        assert env(template)["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"] == str(deadline_s)


@CASES
def test_idle_connections_do_not_delay_a_drain(case: str) -> None:
    for name, template in ray_templates(case).items():
        spread_s = int(env(template)["RAY_SERVE_HAPROXY_CLOSE_SPREAD_TIME_S"] or 0)
        if name != "head":
            command = template["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
            assert f"--notice-s={spread_s}" in command


@CASES
def test_the_application_is_the_projects_own(case: str) -> None:
    (service,) = of_kind(case, "RayService")
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    (app,) = config["applications"]
    assert app["import_path"] == "deployments:moa_app"
    assert config["http_options"] == {"host": "0.0.0.0", "port": 8000}
    assert app["args"] == {"profile": "tiny" if case == "tiny" else "/etc/moa/profile.yaml"}
    assert ("deployments" in app) == (case != "tiny")


def test_each_model_lands_on_its_own_group() -> None:
    (config_map,) = [obj for obj in of_kind("default", "ConfigMap") if "profile.yaml" in obj["data"]]
    profile = yaml.safe_load(config_map["data"]["profile.yaml"])
    offered = {
        name: json.loads(group["rayStartParams"]["resources"].strip("'")) for name, group in groups("default").items()
    }
    for model in profile["models"]:
        bundle = model["placement"]["bundle_per_worker"]
        (resource,) = set(bundle) - {"GPU", "CPU"}
        hosts = [name for name, resources in offered.items() if resource in resources]
        assert hosts, model["id"]
        for host in hosts:
            limits = groups("default")[host]["template"]["spec"]["containers"][0]["resources"]["limits"]
            assert int(limits["nvidia.com/gpu"]) == model["engine_kwargs"]["tensor_parallel_size"]
        assert sum(groups("default")[host]["minReplicas"] for host in hosts) == model["replicas"]["min"]
        assert sum(groups("default")[host]["maxReplicas"] for host in hosts) == model["replicas"]["max"]
    (wanted,) = profile["orchestrator"]["resources"]
    assert [name for name, resources in offered.items() if wanted in resources] == ["orchestrator"]


def checksum(case: str) -> str:
    return ray_templates(case)["head"]["metadata"]["annotations"]["moa/profile-checksum"]


def test_a_changed_profile_makes_new_pods() -> None:
    assert checksum("default") != checksum("settings")
    assert checksum("default") == checksum("no-karpenter")


def without_bounds(cluster: Object) -> Object:
    """A cluster as KubeRay compares it: without the bounds of its groups."""
    for group in cluster["workerGroupSpecs"]:
        for name in ("minReplicas", "replicas", "maxReplicas"):
            del group[name]
    return cluster


BOUNDS = (
    "models.qwen2\\.5-72b.replicas.max=1",  # all of them in the group of the floor
    "models.mixtral-8x7b.replicas.min=2",
    "models.mixtral-8x7b.replicas.onDemandFloor=1",  # had none
    "models.mixtral-8x7b.replicas.max=5",
    "models.mixtral-8x7b.replicas.targetOngoingRequests=7",
    "orchestrator.replicas.max=9",
)


def test_other_bounds_of_replicas_are_the_same_cluster() -> None:
    (changed,) = [
        one
        for one in yaml.safe_load_all(helm("template", "moa", sets=(*BOUNDS, *FIXED)).stdout)
        if one and one["kind"] == "RayService"
    ]
    bounds = {
        group["groupName"]: group["maxReplicas"] for group in changed["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    }
    assert (bounds["mixtral-8x7b"], bounds["qwen2-5-72b"], bounds["orchestrator"]) == (4, 0, 5)
    (before,) = [one for one in yaml.safe_load_all(text("default", fixed=True)) if one and one["kind"] == "RayService"]
    assert without_bounds(changed["spec"].pop("rayClusterConfig")) == without_bounds(before["spec"]["rayClusterConfig"])
    (app,) = yaml.safe_load(changed["spec"]["serveConfigV2"])["applications"]
    assert {one["name"]: tuple(one["autoscaling_config"].values()) for one in app["deployments"]} == {
        "ingress": (9, 2, 100),
        "model:llama-3_1-70b": (2, 1, 32),
        "model:mixtral-8x7b": (5, 2, 7),
        "model:qwen2_5-72b": (1, 1, 32),
    }


@CASES
def test_bounds_are_those_of_the_profile(case: str) -> None:
    """Serve takes those of `deployments`; the server computes its limits from those of its profile."""
    configs = [obj for obj in of_kind(case, "ConfigMap") if "profile.yaml" in obj["data"]]
    for config in configs:
        profile = yaml.safe_load(config["data"]["profile.yaml"])
        wanted = {"ingress": profile["orchestrator"]["replicas"]}
        wanted |= {f"model:{model['id'].replace('.', '_')}": model["replicas"] for model in profile["models"]}
        (service,) = of_kind(case, "RayService")
        (app,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
        assert {one["name"]: one["autoscaling_config"] for one in app["deployments"]} == {
            name: {
                "min_replicas": replicas["min"],
                "max_replicas": replicas["max"],
                "target_ongoing_requests": replicas["target_ongoing_requests"],
                **({} if replicas["min"] else {"downscale_to_zero_delay_s": replicas["idle_s"]}),
            }
            for name, replicas in wanted.items()
        }


def test_a_model_without_replicas_has_no_pods_until_it_is_asked() -> None:
    group = groups("from-zero")["mixtral-8x7b"]
    assert (group["minReplicas"], group["replicas"], group["maxReplicas"]) == (0, 0, 2)
    (config,) = [obj for obj in of_kind("from-zero", "ConfigMap") if "profile.yaml" in obj["data"]]
    replicas = {model["id"]: model["replicas"] for model in yaml.safe_load(config["data"]["profile.yaml"])["models"]}
    assert replicas["mixtral-8x7b"] == {"min": 0, "max": 2, "target_ongoing_requests": 32, "idle_s": 900}
    assert checksum("from-zero") != checksum("default"), "orchestrators learn it at their start"
    assert "moa-mixtral-8x7b" not in {obj["metadata"]["name"] for obj in of_kind("from-zero", "PodDisruptionBudget")}


def test_the_wait_for_a_first_replica_is_passed_on() -> None:
    sets = ("models.mixtral-8x7b.replicas.min=0", "models.mixtral-8x7b.replicas.waitSeconds=45")
    out = [obj for obj in yaml.safe_load_all(helm("template", "moa", sets=sets).stdout) if obj]
    (config,) = [obj for obj in out if "profile.yaml" in (obj.get("data") or {})]
    (model,) = [m for m in yaml.safe_load(config["data"]["profile.yaml"])["models"] if m["id"] == "mixtral-8x7b"]
    assert model["replicas"]["wait_s"] == 45
    (service,) = [obj for obj in out if obj["kind"] == "RayService"]
    (app,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    (bounds,) = [one["autoscaling_config"] for one in app["deployments"] if one["name"] == "model:mixtral-8x7b"]
    assert bounds["downscale_to_zero_delay_s"] == 1800
