"""Additions of the operator to pods, nodes and the list of objects: they appear where they should, and nowhere else."""

import pytest
import yaml
from render import Object, groups, helm, of_kind, pods, ray_templates

# Component of each pod of the case `additions`, by its group.
MODELS = {"qwen2-5-72b", "llama-3-1-70b"}
MIXTRAL = {"mixtral-8x7b", "mixtral-8x7b-floor"}


def container(template: Object) -> Object:
    return template["spec"]["containers"][0]


def variables(template: Object) -> dict[str, Object]:
    return {entry["name"]: entry for entry in container(template).get("env", [])}


def sources(template: Object) -> list[str]:
    found = []
    for entry in container(template).get("envFrom", []):
        (reference,) = [value["name"] for key, value in entry.items() if key != "prefix"]
        found.append(f"{entry.get('prefix', '')}{reference}")
    return found


def mounted(template: Object) -> dict[str, str]:
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container(template)["volumeMounts"]}
    claims = {"data"}  # of the StatefulSet
    assert set(mounts.values()) <= volumes | claims
    return mounts


def redis() -> Object:
    (template,) = [template for name, template in pods("additions") if name == "moa-redis"]
    return template


def test_every_ray_pod_gets_what_is_for_all_and_redis_does_not() -> None:
    for name, template in ray_templates("additions").items():
        assert variables(template)["HTTPS_PROXY"]["value"] == "http://proxy.example:3128", name
        assert sources(template)[:2] == ["keys", "everywhere"], name
        assert mounted(template)["/etc/ssl/company"] == "ca", name
        assert template["metadata"]["labels"]["team"] == "search", name
        assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false", name
    assert "HTTPS_PROXY" not in variables(redis())
    assert "team" not in redis()["metadata"]["labels"]


def test_each_component_gets_its_own() -> None:
    only = {name: variables(template).get("ONLY", {}) for name, template in ray_templates("additions").items()}
    assert {name: entry.get("value") for name, entry in only.items()} == {
        "head": None, "orchestrator": "orchestrator", "mixtral-8x7b": "mixtral", "mixtral-8x7b-floor": "mixtral",
        **{f"{model}{suffix}": None for model in MODELS for suffix in ("", "-floor")},
    }  # fmt: skip
    assert only["head"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    for name, template in ray_templates("additions").items():
        labels, annotations = template["metadata"]["labels"], template["metadata"]["annotations"]
        assert labels.get("only") == ("mixtral" if name in MIXTRAL else {"head": "head"}.get(name))
        assert annotations.get("only") == ("orchestrator" if name == "orchestrator" else None)
        assert ("/adapters/mixtral" in mounted(template)) == (name in MIXTRAL)
        assert ("MIX_mixtral" in sources(template)) == (name in MIXTRAL)


def test_redis_gets_its_own() -> None:
    template = redis()
    assert variables(template) == {"TZ": {"name": "TZ", "value": "UTC"}}
    assert sources(template) == ["redis"]
    assert mounted(template)["/more"] == "more"
    assert template["metadata"]["labels"]["only"] == template["metadata"]["annotations"]["only"] == "redis"


@pytest.mark.parametrize("group", ["head", "orchestrator", "mixtral-8x7b", "qwen2-5-72b-floor"])
def test_what_the_chart_sets_stays(group: str) -> None:
    plain, added = ray_templates("default")[group], ray_templates("additions")[group]
    assert variables(plain).items() <= variables(added).items()
    assert mounted(plain).items() <= mounted(added).items()
    for part in ("labels", "annotations"):
        assert plain["metadata"][part].items() <= added["metadata"][part].items()
    for field in ("resources", "securityContext", "ports", "livenessProbe"):
        assert container(plain)[field] == container(added)[field]


def test_each_component_has_its_image_and_the_others_that_of_all() -> None:
    own = {
        "head": "registry.example/moa-head:0.1.0",
        "orchestrator": f"registry.example/moa-orchestrator@sha256:{'0123456789' * 6}0123",
        **dict.fromkeys(MIXTRAL, "registry.example/moa-gpu-nightly:1"),
    }
    images = {name: container(template)["image"] for name, template in ray_templates("additions").items()}
    assert images == {name: own.get(name, "ghcr.io/moa-serve/moa-gpu:0.1.0") for name in images}
    assert set(images) == {"head", *groups("default")}
    (test,) = [template for name, template in pods("additions") if name == "moa-test"]
    assert container(test)["image"] == own["orchestrator"], "the image that the nodes beside it have"


def test_the_pod_of_a_profile_of_the_image_gets_its_own() -> None:
    sets = ("cpuWorker.image.repository=r", "cpuWorker.image.tag=v1", "cpuWorker.pod.extraEnv[0].name=ONLY")
    rendered = yaml.safe_load_all(helm("template", "moa", files=("values-tiny.yaml",), sets=sets).stdout)
    found = {one["kind"]: one for one in rendered if one}
    cluster = found["RayService"]["spec"]["rayClusterConfig"]
    (worker,) = [group["template"] for group in cluster["workerGroupSpecs"]]
    assert container(worker)["image"] == container(found["Pod"])["image"] == "r:v1"
    assert "ONLY" in variables(worker)
    assert "ONLY" not in variables(cluster["headGroupSpec"]["template"])


def test_nodes_get_settings_of_the_kubelet_and_user_data() -> None:
    classes = {obj["metadata"]["name"]: obj["spec"] for obj in of_kind("additions", "EC2NodeClass")}
    assert classes["moa-gpu"]["kubelet"] == {"maxPods": 20, "evictionHard": {"memory.available": "5%"}}
    assert classes["moa-gpu"]["userData"] == '[settings.kernel.sysctl]\n"vm.max_map_count" = "262144"\n'
    assert classes["moa-cpu"]["kubelet"] == {"clusterDNS": ["10.0.0.10"]}
    assert "userData" not in classes["moa-cpu"]
    for spec in (obj["spec"] for obj in of_kind("default", "EC2NodeClass")):
        assert not {"kubelet", "userData"} & set(spec)


def test_other_objects_are_templates_as_yaml_and_as_text() -> None:
    extra = {
        obj["metadata"]["name"]: obj for obj in of_kind("additions", "ConfigMap") if "extra" in obj["metadata"]["name"]
    }
    assert yaml.safe_dump({name: obj["data"] for name, obj in extra.items()}) == yaml.safe_dump(
        {"moa-extra": {"models": "llama-3.1-70b,mixtral-8x7b,qwen2.5-72b"}, "extra-text": {"port": "8001"}}
    )
    assert {obj["metadata"]["namespace"] for obj in extra.values()} == {"moa"}
