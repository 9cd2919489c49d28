"""Nodes and networks: disks, sizes, addresses that pods reach, clusters without Karpenter."""

import ipaddress
import re

import pytest
import yaml
from render import CHART, MATRIX, Object, groups, helm, objects, of_kind, pods, ray_templates

CASES = pytest.mark.parametrize("case", MATRIX)
# What Karpenter 1.14 counts on an m7i.xlarge, and what daemon sets of the walk request there: VPC CNI with its policy
# agent, kube-proxy, and the CSI drivers.
M7I_XLARGE_MILLICPUS, M7I_XLARGE_MIB = 3920, 14162
DAEMONS_MILLICPUS = 50 + 100 + 40 + 30
IMAGE_GIB = 40  # of the unpacked GPU image, at most
UNITS = {"Ki": 2**-10, "Mi": 1.0, "Gi": 2**10}


def mib(quantity: str) -> float:
    return float(quantity[:-2]) * UNITS[quantity[-2:]]


def millicpus(quantity: str) -> float:
    return float(quantity[:-1]) if quantity.endswith("m") else 1000 * float(quantity)


def requests(template: Object) -> Object:
    return template["spec"]["containers"][0]["resources"]["requests"]


def node_class(case: str, kind: str) -> Object:
    (found,) = [one["spec"] for one in of_kind(case, "EC2NodeClass") if one["metadata"]["name"].endswith(f"-{kind}")]
    return found


def networks(rules: list[Object], port: int) -> list[Object]:
    """Blocks of addresses that the egress rules allow for the port."""
    return [
        peer["ipBlock"]
        for rule in rules
        for peer in rule.get("to", [])
        if "ipBlock" in peer and port in [one["port"] for one in rule["ports"]]
    ]


def reaches(blocks: list[Object], address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return any(
        ip in ipaddress.ip_network(block["cidr"])
        and not any(ip in ipaddress.ip_network(cut) for cut in block.get("except", []))
        for block in blocks
    )


def egress(case: str, name: str) -> list[Object]:
    return [
        rule
        for one in of_kind(case, "NetworkPolicy")
        if one["metadata"]["name"] == name
        for rule in one["spec"].get("egress", [])
    ]


def test_an_orchestrator_pod_fits_a_node_of_four_cpus() -> None:
    wanted = requests(ray_templates("default")["orchestrator"])
    assert millicpus(wanted["cpu"]) <= M7I_XLARGE_MILLICPUS - DAEMONS_MILLICPUS
    assert mib(wanted["memory"]) <= M7I_XLARGE_MIB


def test_nodes_of_the_head_unpack_an_image_as_fast_as_gpu_nodes() -> None:
    gpu, cpu = (node_class("default", kind)["blockDeviceMappings"][0]["ebs"] for kind in ("gpu", "cpu"))
    for field in ("volumeType", "iops", "throughput"):
        assert cpu[field] == gpu[field]
    assert cpu["throughput"] > 125, "gp3's own"
    head, pod = (requests(ray_templates("default")[name])["ephemeral-storage"] for name in ("head", "orchestrator"))
    # Kubernetes evicts pods from a disk that is nine tenths full.
    assert 0.9 * mib(cpu["volumeSize"]) >= mib(head) + mib(pod) + 1024 * IMAGE_GIB


def test_a_snapshot_of_images_is_the_data_disk_and_not_hidden_by_another() -> None:
    for kind in ("gpu", "cpu"):
        spec = node_class("image-snapshot", kind)
        (disk,) = spec["blockDeviceMappings"]
        assert disk["deviceName"] == "/dev/xvdb", "Bottlerocket's data disk"
        assert disk["ebs"]["snapshotID"] == "snap-0123456789abcdef0"
        assert disk["ebs"]["volumeInitializationRate"] == 300
        assert "encrypted" not in disk["ebs"], "refused in a launch template beside a snapshot"
        assert "instanceStorePolicy" not in spec
    assert node_class("default", "gpu")["instanceStorePolicy"] == "RAID0"
    assert "snapshotID" not in node_class("default", "gpu")["blockDeviceMappings"][0]["ebs"]


@CASES
def test_the_whole_internet_is_no_api_server(case: str) -> None:
    for block in networks(egress(case, "moa-head"), 6443):
        assert ipaddress.ip_network(block["cidr"]).prefixlen >= 8


@pytest.mark.parametrize("address", ["10.100.0.1", "172.20.0.1", "192.168.3.4"])
def test_only_the_head_reaches_the_api_server_also_at_the_port_of_the_weights(address: str) -> None:
    for port in (443, 6443):
        assert reaches(networks(egress("default", "moa-head"), port), address)
        assert not reaches(networks(egress("default", "moa"), port), address)
    assert reaches(networks(egress("default", "moa"), 443), "52.216.8.1"), "S3"


@pytest.mark.parametrize(("case", "reached"), [("pvc", False), ("batches-on-s3", True)])
def test_files_of_batches_on_s3_are_reached_also_with_weights_on_a_volume(case: str, reached: bool) -> None:
    assert reaches(networks(egress(case, "moa"), 443), "52.216.8.1") == reached


def test_the_cut_has_the_family_of_its_block() -> None:
    sets = (
        "networkPolicy.apiServerCidrs={10.0.0.0/16,fd00::/64}",
        "networkPolicy.httpsCidrs={0.0.0.0/0,::/0,10.9.0.0/24}",
    )
    found = [one for one in yaml.safe_load_all(helm("template", "moa", sets=sets).stdout) if one]
    (policy,) = [one for one in found if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "moa"]
    assert networks(policy["spec"]["egress"], 443) == [
        {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/16"]},
        {"cidr": "::/0", "except": ["fd00::/64"]},
        {"cidr": "10.9.0.0/24"},
    ]


@pytest.mark.parametrize("case", [case for case in MATRIX if case not in ("tiny", "k3s")])  # these have no policies
def test_pods_reach_the_dns_cache_of_their_node(case: str) -> None:
    assert reaches(networks(egress(case, "moa"), 53), "169.254.20.10"), "no pod selector matches it"


def test_gke_has_its_other_resolver_too() -> None:
    assert reaches(networks(egress("gke", "moa"), 53), "169.254.169.254")
    assert not reaches(networks(egress("default", "moa"), 53), "169.254.169.254")


def test_what_the_alert_on_spot_reads_is_scraped() -> None:
    exporters = yaml.safe_load((CHART / "files" / "metrics.yaml").read_text())
    groups = [group for rules in of_kind("large", "PrometheusRule") for group in rules["spec"]["groups"]]
    (alert,) = [rule for group in groups for rule in group["rules"] if rule.get("alert") == "MoaSpotFallback"]
    read = set(re.findall(r"\bkarpenter_\w+", alert["expr"]))
    assert read
    assert read <= set(exporters["karpenter"])
    (monitor,) = [one for one in of_kind("large", "PodMonitor") if one["metadata"]["name"] == "moa-karpenter"]
    spec = monitor["spec"]
    assert spec["selector"]["matchLabels"] == {"app.kubernetes.io/name": "karpenter"}
    assert spec["namespaceSelector"] == {"matchNames": ["kube-system"]}
    assert [one["port"] for one in spec["podMetricsEndpoints"]] == ["http-metrics"], "of Karpenter's chart"
    assert monitor["metadata"]["labels"]["release"] == "prometheus", "Prometheus selects it by this label"


@pytest.mark.parametrize("pair", ["monitoring.exporters.karpenter=false", "monitoring.podMonitor.karpenterNamespace="])
def test_karpenter_is_not_scraped_where_nothing_reads_it_or_something_else_does(pair: str) -> None:
    found = [one for one in yaml.safe_load_all(helm("template", "moa", sets=(pair,)).stdout) if one]
    assert [one["metadata"]["name"] for one in found if one["kind"] == "PodMonitor"] == ["moa"]
    names = {rule.get("alert") for one in found if one["kind"] == "PrometheusRule" for group in one["spec"]["groups"]
             for rule in group["rules"]}  # fmt: skip
    assert ("MoaSpotFallback" in names) == ("exporters" not in pair)


@CASES
def test_nothing_of_karpenter_without_it(case: str) -> None:
    if of_kind(case, "NodePool"):
        return
    assert "moa-karpenter" not in {one["metadata"]["name"] for one in objects(case)}
    for name, template in pods(case):
        text = yaml.safe_dump(template)
        assert "karpenter" not in text, name
        assert "moa/pool" not in text, name


def models(case: str) -> dict[str, Object]:
    return {
        name: group["template"]["spec"]
        for name, group in groups(case).items()
        if group["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "model"
    }


def test_gke_pods_name_their_gpus_and_the_floor_its_node_pool() -> None:
    for name, spec in models("gke").items():
        selector = dict(spec["nodeSelector"])
        assert selector.pop("cloud.google.com/gke-accelerator") == "nvidia-rtx-pro-6000"
        assert selector == ({"cloud.google.com/gke-nodepool": "gpu-on-demand"} if name.endswith("-floor") else {}), name
        # GKE's own taint of GPU nodes is nvidia.com/gpu=present.
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    for name, template in pods("gke"):
        if name not in models("gke"):
            assert "nodeSelector" not in template["spec"], name


def test_k3s_pods_with_gpus_name_the_runtime_and_no_others() -> None:
    for name, template in pods("k3s"):
        assert template["spec"].get("runtimeClassName") == ("nvidia" if name in models("k3s") else None), name
    for case in ("default", "gke"):
        assert all("runtimeClassName" not in template["spec"] for _, template in pods(case))


def test_k3s_asks_for_nothing_that_one_machine_does_not_have() -> None:
    modes = {
        mode for obj in objects("k3s") if obj["kind"] == "PersistentVolumeClaim" for mode in obj["spec"]["accessModes"]
    }
    assert "ReadWriteMany" not in modes
    (redis,) = of_kind("k3s", "StatefulSet")
    assert redis["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "local-path"
    (service,) = of_kind("k3s", "RayService")
    assert service["spec"]["upgradeStrategy"]["type"] == "None", "a second cluster would need the GPUs twice"
    gpus = 0
    for group in groups("k3s").values():
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        gpus += group["maxReplicas"] * int(limits.get("nvidia.com/gpu", 0))
    assert gpus == 6
