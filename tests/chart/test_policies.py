"""Policies of every pod, and disruption of nodes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from render import CHART, MATRIX, Object, groups, objects, of_kind, pods, ray_templates

CASES = pytest.mark.parametrize("case", MATRIX)
SPOT_NOTICE_S = 120
# Checks that do not fit, each with its reason.
SKIPPED = {
    "CKV_K8S_21": "the namespace is the installer's choice",
    "CKV_K8S_35": "Ray and the hub read tokens from the environment and nowhere else",
    "CKV_K8S_38": "the head's autoscaler needs its account's token",
    "CKV_K8S_40": "Ray's images have the user 1000, Redis' 999",
    "CKV_K8S_43": "a digest is the operator's to pin: image.digest",
    "CKV_K8S_15": "IfNotPresent: an image of several gigabytes is not asked for at each start",
    "CKV2_K8S_6": "the chart's network policies select by label; checkov does not see them beside a lone pod",
}


def as_pod(name: str, template: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": name},
        "spec": template["spec"],
    }


def test_checkov_finds_nothing_in_any_pod(tmp_path: Path) -> None:
    """All pods of all combinations of values, including those of the RayService, as plain pods."""
    seen: set[str] = set()
    for case in MATRIX:
        for name, template in pods(case):
            text = yaml.safe_dump(as_pod(f"{case}-{name}", template))
            if (body := text.replace(f"{case}-", "")) not in seen:
                seen.add(body)
                (tmp_path / f"{case}-{name}.yaml").write_text(text)
    assert len(seen) > 20
    failed = checkov(tmp_path)
    assert failed == []


def test_checkov_would_find_a_privileged_pod(tmp_path: Path) -> None:
    template = ray_templates("tiny")["cpu"]
    template["spec"]["containers"][0]["securityContext"]["privileged"] = True
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(as_pod("cpu", template)))
    assert [check for check, _ in checkov(tmp_path)] == ["CKV_K8S_16"]


def checkov(folder: Path) -> list[tuple[str, str]]:
    run = subprocess.run(
        [Path(sys.executable).with_name("checkov"), "--framework", "kubernetes", "-d", folder, "--compact", "--quiet",
         "-o", "json", "--skip-download", "--skip-check", ",".join(SKIPPED)],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    report = json.loads(run.stdout)
    if "results" not in report:
        assert report["passed"] > 0
        return []
    return [(check["check_id"], check["resource"]) for check in report["results"]["failed_checks"]]


@CASES
def test_pods_are_restricted(case: str) -> None:
    for name, template in pods(case):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["enableServiceLinks"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume], name
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["privileged"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


@CASES
def test_only_the_head_has_a_token_and_only_for_the_autoscaler_and_jobs_have_one(case: str) -> None:
    for name, template in pods(case):
        mounted = template["spec"].get("automountServiceAccountToken", True)
        job = template["metadata"]["labels"]["app.kubernetes.io/component"] == "job"
        assert mounted == (job or (name == "head" and case not in ("tiny", "fixed-size"))), name


@CASES
def test_whatever_is_written_has_a_volume(case: str) -> None:
    for name, template in ray_templates(case).items():
        spec = template["spec"]
        container = spec["containers"][0]
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert {mount["name"] for mount in mounts.values()} == set(volumes), name
        for variable in container["env"]:
            if str(variable.get("value", "")).startswith("/"):
                (root,) = [path for path in mounts if variable["value"].startswith(f"{path}/")]
                assert not mounts[root].get("readOnly"), variable
        assert volumes["shm"]["emptyDir"]["medium"] == "Memory"


@CASES
def test_grace_holds_notice_and_drain_within_a_spot_notice(case: str) -> None:
    for name, template in ray_templates(case).items():
        if name == "head":
            continue
        command = template["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command[:3] == ["python", "-m", "deployments.drain"]
        seconds = {part.split("=")[0]: float(part.split("=")[1]) for part in command[3:]}
        grace = template["spec"]["terminationGracePeriodSeconds"]
        assert seconds["--notice-s"] + seconds["--drain-s"] < grace < SPOT_NOTICE_S


@CASES
def test_replicas_drain_as_long_as_their_pods(case: str) -> None:
    for config in of_kind(case, "ConfigMap"):
        if "profile.yaml" not in config["data"]:
            continue
        profile = yaml.safe_load(config["data"]["profile.yaml"])
        command = groups(case)["orchestrator"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"][
            "command"
        ]
        for part in (*profile["models"], profile["orchestrator"]):
            assert f"--drain-s={part['drain_s']}" in command


@CASES
def test_a_disruption_budget_never_blocks_the_last_pod_of_a_group(case: str) -> None:
    counts: dict[str, int] = {}
    for group in groups(case).values():
        label = group["template"]["metadata"]["labels"]["moa/group"]
        counts[label] = counts.get(label, 0) + group["minReplicas"]
    budgets = {
        b["spec"]["selector"]["matchLabels"]["moa/group"]: b["spec"] for b in of_kind(case, "PodDisruptionBudget")
    }
    expected = {label for label, count in counts.items() if count >= 2}
    assert set(budgets) == expected
    for label, spec in budgets.items():
        assert spec["minAvailable"] == counts[label] - 1, "integers alone are honoured for pods without a scale"
        assert "maxUnavailable" not in spec


def test_startup_gives_140_gigabytes_the_time_to_arrive() -> None:
    slowest_bytes_per_s = 100e6  # one quarter of the least that EFS or a loaded S3 path gave
    for name, group in groups("nvme").items():
        probe = group["template"]["spec"]["containers"][0]["startupProbe"]
        if "nvidia.com/gpu" in group["template"]["spec"]["containers"][0]["resources"]["limits"]:
            assert probe["periodSeconds"] * probe["failureThreshold"] >= 140e9 / slowest_bytes_per_s, name


def test_karpenter_pools() -> None:
    pools = {pool["metadata"]["name"].removeprefix("moa-"): pool["spec"] for pool in of_kind("default", "NodePool")}
    assert set(pools) == {"gpu-spot", "gpu-on-demand", "cpu"}
    assert pools["gpu-spot"]["weight"] > pools["gpu-on-demand"]["weight"], "spot first"
    for name, capacity in (("gpu-spot", "spot"), ("gpu-on-demand", "on-demand")):
        spec = pools[name]
        wanted = {r["key"]: r["values"] for r in spec["template"]["spec"]["requirements"]}
        assert wanted["karpenter.sh/capacity-type"] == [capacity]
        assert spec["disruption"]["consolidationPolicy"] == "WhenEmpty"
        assert spec["limits"]["nvidia.com/gpu"] > 0
        assert spec["template"]["spec"]["taints"] == [
            {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
        ]
    for node_class in of_kind("default", "EC2NodeClass"):
        spec = node_class["spec"]
        assert spec["metadataOptions"]["httpTokens"] == "required"
        assert all(mapping["ebs"]["encrypted"] for mapping in spec["blockDeviceMappings"])
        assert spec["tags"]["cost-center"] == "moa"
        assert "latest" not in spec["amiSelectorTerms"][0]["alias"]


def test_the_floor_is_on_demand_and_the_rest_prefers_spot() -> None:
    floor = groups("default")["qwen2-5-72b-floor"]
    spot = groups("default")["qwen2-5-72b"]
    assert (floor["minReplicas"], floor["maxReplicas"]) == (1, 1)
    assert floor["template"]["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == "on-demand"
    assert preferences(spot["template"]["spec"]) == [
        (100, {"capacity-type": "In spot", "instance-gpu-count": "Lt 5"}),
        (50, {"capacity-type": "In on-demand", "instance-gpu-count": "Lt 5"}),
        (10, {"capacity-type": "In spot"}),
    ]
    strict = groups("bottlerocket")["mixtral-8x7b"]["template"]["spec"]
    assert strict["nodeSelector"]["karpenter.sh/capacity-type"] == "spot"
    assert preferences(strict) == [(100, {"instance-gpu-count": "Lt 5"})]


def preferences(spec: Object) -> list[tuple[int, dict[str, str]]]:
    """Preferred nodes of a pod, in the order in which Karpenter tries them."""
    terms = spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    return [
        (
            term["weight"],
            {
                e["key"].partition("/")[2]: f"{e['operator']} {','.join(e['values'])}"
                for e in term["preference"]["matchExpressions"]
            },
        )
        for term in terms
    ]


def test_the_pools_hold_every_replica_and_a_second_cluster() -> None:
    """GPUs of the first cluster at its maximum plus those of the second at its minimum, as during an upgrade."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    floor = most = least = 0
    for model in values["models"].values():
        replicas = model["replicas"]
        floor += model["gpus"] * replicas["onDemandFloor"]
        most += model["gpus"] * (replicas["max"] - replicas["onDemandFloor"])
        least += model["gpus"] * (replicas["min"] - replicas["onDemandFloor"])
    limits = {pool["metadata"]["name"]: pool["spec"]["limits"] for pool in of_kind("default", "NodePool")}
    assert limits["moa-gpu-on-demand"]["nvidia.com/gpu"] >= 2 * floor
    assert limits["moa-gpu-spot"]["nvidia.com/gpu"] >= most + least


def test_network_policies_leave_the_api_port_open_and_nothing_else() -> None:
    (policy,) = [p for p in of_kind("default", "NetworkPolicy") if p["metadata"]["name"] == "moa"]
    open_to_all = [rule for rule in policy["spec"]["ingress"] if "from" not in rule]
    assert [rule["ports"] for rule in open_to_all] == [[{"port": 8000, "protocol": "TCP"}]]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    components = set(policy["spec"]["podSelector"]["matchExpressions"][0]["values"])
    for name, template in ray_templates("default").items():
        assert template["metadata"]["labels"]["app.kubernetes.io/component"] in components, name
    (redis,) = [p for p in of_kind("default", "NetworkPolicy") if p["metadata"]["name"] == "moa-redis"]
    (rule,) = redis["spec"]["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "head"
    assert "egress" not in redis["spec"], "none at all"


def policy(case: str, name: str) -> Object:
    (found,) = [p["spec"] for p in of_kind(case, "NetworkPolicy") if p["metadata"]["name"] == name]
    return found


def test_only_the_head_reaches_the_api_server() -> None:
    head = policy("large", "moa-head")
    assert head["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "head"
    assert [peer["ipBlock"]["cidr"] for peer in head["egress"][0]["to"]] == ["192.168.0.0/16", "10.100.0.0/16"]
    assert 6443 not in [port["port"] for rule in policy("pvc", "moa")["egress"] for port in rule.get("ports", [])]
    assert not [p for p in of_kind("fixed-size", "NetworkPolicy") if p["metadata"]["name"] == "moa-head"]


def test_where_callers_are_named_the_helm_test_is_one() -> None:
    (api, *_) = policy("many-replicas", "moa")["ingress"]
    assert api["ports"] == [{"port": 8000, "protocol": "TCP"}]
    namespaces, test = api["from"]
    assert namespaces["namespaceSelector"]["matchExpressions"][0]["values"] == ["apps"]
    (pod,) = of_kind("many-replicas", "Pod")
    assert test["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_cost_labels_are_on_pods_nodes_and_instances() -> None:
    for _, template in ray_templates("large").items():
        assert template["metadata"]["labels"]["environment"] == "production"
    for pool in of_kind("large", "NodePool"):
        assert pool["spec"]["template"]["metadata"]["labels"]["environment"] == "production"
    for node_class in of_kind("large", "EC2NodeClass"):
        assert node_class["spec"]["tags"]["environment"] == "production"


def test_no_service_is_called_vllm() -> None:
    """A service `vllm` would set VLLM_PORT to an address in every pod of the namespace, and vLLM would not start."""
    for case in MATRIX:
        assert "vllm" not in {obj["metadata"]["name"] for obj in objects(case)}


def test_tiny_fits_into_twelve_gigabytes() -> None:
    units = {"Gi": 1, "Mi": 1 / 1024}
    total = 0.0
    for name, template in pods("tiny"):
        if name.endswith("-test"):
            continue
        for container in template["spec"]["containers"]:
            quantity = container["resources"]["limits"]["memory"]
            total += float(quantity[:-2]) * units[quantity[-2:]]
    assert total <= 12
