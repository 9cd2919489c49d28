"""Start, stop and health of pods: probes, caches, loading, Redis, the pod of `helm test`."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from render import MATRIX, Object, helm, of_kind, pods, ray_templates

CASES = pytest.mark.parametrize("case", MATRIX)
# Compilers whose results an engine uses, with the variable that names their folder (VLLM_CACHE_ROOT: also DeepGEMM's).
CACHES = {
    "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE", "CUDA_CACHE_PATH",
    "TORCH_EXTENSIONS_DIR", "CUTE_DSL_CACHE_DIR", "TILELANG_CACHE_DIR",
}  # fmt: skip


def container(template: Object) -> Object:
    return template["spec"]["containers"][0]


def tolerated_s(probe: Object) -> int:
    return probe["periodSeconds"] * probe["failureThreshold"]


@CASES
def test_probes_have_the_thresholds_of_kuberay(case: str) -> None:
    """KubeRay 1.7: liveness 120 x 5 s; readiness 10 on the head, 1 on workers, whose proxies serve."""
    for name, template in ray_templates(case).items():
        assert tolerated_s(container(template)["livenessProbe"]) == 600, name
        assert container(template)["readinessProbe"]["failureThreshold"] == (10 if name == "head" else 1), name


@CASES
def test_all_compiled_code_is_kept_on_the_volume_of_the_caches(case: str) -> None:
    for name, template in ray_templates(case).items():
        folders = {entry["name"]: entry.get("value", "") for entry in container(template)["env"]}
        assert {variable for variable in CACHES if not folders.get(variable, "").startswith("/compile-cache/")} == set()
        assert len({folders[variable] for variable in CACHES}) == len(CACHES), name


@pytest.mark.parametrize("case", ["default", "gpt-oss", "pvc"])
def test_one_read_of_the_weights_is_enough_for_all_gpus_of_a_replica(case: str) -> None:
    (config,) = [obj for obj in of_kind(case, "ConfigMap") if "profile.yaml" in obj["data"]]
    for model in yaml.safe_load(config["data"]["profile.yaml"])["models"]:
        options = model["engine_kwargs"]
        several = options["tensor_parallel_size"] > 1 and options.get("load_format") == "runai_streamer"
        assert options.get("model_loader_extra_config") == ({"distributed": True} if several else None), model["id"]


def test_options_of_the_loader_that_are_given_are_kept() -> None:
    option = "models.mixtral-8x7b.engineKwargs.model_loader_extra_config"
    for sets, wanted in {
        (f"{option}.concurrency=32",): {"concurrency": 32, "distributed": True},
        (f"{option}.distributed=false",): {"distributed": False},
    }.items():
        out = yaml.safe_load_all(helm("template", "moa", sets=sets).stdout)
        (config,) = [obj for obj in out if obj and "profile.yaml" in (obj.get("data") or {})]
        (model,) = [m for m in yaml.safe_load(config["data"]["profile.yaml"])["models"] if m["id"] == "mixtral-8x7b"]
        assert model["engine_kwargs"]["model_loader_extra_config"] == wanted


def test_only_some_of_the_cases_above_have_one_gpu() -> None:
    (config,) = [obj for obj in of_kind("gpt-oss", "ConfigMap") if "profile.yaml" in obj["data"]]
    sizes = [
        model["engine_kwargs"]["tensor_parallel_size"]
        for model in yaml.safe_load(config["data"]["profile.yaml"])["models"]
    ]
    assert set(sizes) == {1, 2}


@CASES
def test_the_pod_of_helm_test_is_beside_the_orchestrators_and_has_time_for_the_pull(case: str) -> None:
    (pod,) = [template for name, template in pods(case) if name.endswith("-test")]
    beside = ray_templates(case)["cpu" if case == "tiny" else "orchestrator"]
    for place in ("nodeSelector", "tolerations"):
        assert pod["spec"].get(place) == beside["spec"].get(place)
    assert pod["spec"]["activeDeadlineSeconds"] >= 900 + int(env(pod)["TIMEOUT_S"])
    (near,) = pod["spec"]["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    selector = near["podAffinityTerm"]["labelSelector"]
    assert selector["matchLabels"].items() <= beside["metadata"]["labels"].items()
    assert beside["metadata"]["labels"]["app.kubernetes.io/component"] in selector["matchExpressions"][0]["values"]


def env(template: Object) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container(template)["env"]}


@pytest.mark.parametrize("password", ["plain", 'spaces "quotes" and \\ # signs $HOME `id`'])
def test_redis_replaces_its_shell_and_reads_the_password_from_standard_input(tmp_path: Path, password: str) -> None:
    (template,) = [template for name, template in pods("default") if name == "moa-redis"]
    (tmp_path / "password").write_text(password)
    fake = tmp_path / "redis-server"
    fake.write_text('#!/bin/sh\necho "$$ $*"\ncat\n')
    fake.chmod(0o755)
    script = container(template)["args"][0].replace("/secrets/password", str(tmp_path / "password"))
    assert container(template)["command"] == ["sh", "-c"]
    started = subprocess.Popen(
        ["sh", "-c", script], env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}, stdout=subprocess.PIPE, text=True
    )
    said, _ = started.communicate(timeout=30)
    first, configured = said.splitlines()
    assert first == f"{started.pid} - --dir /data --appendonly yes --save ", "the process that gets SIGTERM"
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    assert configured == f'requirepass "{quoted}"'


def rendered(name: str, namespace: str) -> list[Object]:
    out = helm("template", name, "--namespace", namespace).stdout
    return [obj for obj in yaml.load_all(out, yaml.CSafeLoader) if obj]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("moa", "blue"), ("moa", "green")),
        (("moa", "moa"), ("moa", "green")),
        (("moa-b", "a"), ("moa", "a-b")),
        (("moa", "n" * 62 + "a"), ("moa", "n" * 62 + "b")),
    ],
)
def test_two_releases_share_no_object_outside_their_namespaces(one: tuple[str, str], other: tuple[str, str]) -> None:
    names: list[set[tuple[str, str]]] = []
    for release in (one, other):
        outside = [obj for obj in rendered(*release) if "namespace" not in obj["metadata"]]
        assert {obj["kind"] for obj in outside} == {"PriorityClass", "EC2NodeClass", "NodePool"}
        assert all(len(obj["metadata"]["name"]) <= 63 for obj in outside), "names of node pools become labels"
        names.append({(obj["kind"], obj["metadata"]["name"]) for obj in outside})
    assert names[0] & names[1] == set()


def test_pods_of_two_releases_use_the_nodes_and_the_priority_of_their_own() -> None:
    pools: dict[str, set[str]] = {}
    for namespace in ("blue", "green"):
        found = rendered("moa", namespace)
        labels = {
            obj["spec"]["template"]["metadata"]["labels"]["moa/release"] for obj in found if obj["kind"] == "NodePool"
        }
        (priority,) = [obj["metadata"]["name"] for obj in found if obj["kind"] == "PriorityClass"]
        (service,) = [obj for obj in found if obj["kind"] == "RayService"]
        cluster = service["spec"]["rayClusterConfig"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            spec = group["template"]["spec"]
            assert {spec["nodeSelector"]["moa/release"]} == labels
            assert spec["priorityClassName"] == priority
        pools[namespace] = labels
    assert pools["blue"] != pools["green"]


def test_the_alert_of_on_demand_nodes_names_their_pool() -> None:
    found = rendered("moa", "blue")
    pools = [obj["metadata"]["name"] for obj in found if obj["kind"] == "NodePool"]
    rules = "\n".join(yaml.safe_dump(obj) for obj in found if obj["kind"] == "PrometheusRule")
    named = set(re.findall(r'nodepool="([^"]*)"', rules))
    assert named
    assert named <= set(pools)
