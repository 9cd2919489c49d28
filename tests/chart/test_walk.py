"""The walk in docs/operations.md makes what the chart's objects need."""

import re

import pytest
import yaml
from render import MATRIX, ROOT, Object, objects, of_kind

WALK = (ROOT / "docs" / "operations.md").read_text()


def manifests() -> list[Object]:
    """Objects in the walk's here-documents."""
    found = []
    for text in re.findall(r"<<EOF\n(.*?)\n *EOF\n", WALK, re.DOTALL):
        if "apiVersion" in text:
            found += [obj for obj in yaml.safe_load_all(text) if obj]
    return found


def classes() -> dict[str | None, set[str]]:
    """Access modes of each storage class that the walk makes; None: the default class."""
    (cluster,) = [obj for obj in manifests() if obj["kind"] == "ClusterConfig"]
    (ebs,) = [addon for addon in cluster["addons"] if addon["name"] == "aws-ebs-csi-driver"]
    made: dict[str | None, set[str]] = {}
    if yaml.safe_load(ebs.get("configurationValues", "{}")).get("defaultStorageClass", {}).get("enabled"):
        made[None] = {"ReadWriteOnce"}
    for obj in manifests():
        if obj["kind"] == "StorageClass":
            assert obj["provisioner"] == "efs.csi.aws.com"
            made[obj["metadata"]["name"]] = {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"}
    return made


def claims(found: list[Object]) -> list[Object]:
    own = [obj for obj in found if obj["kind"] == "PersistentVolumeClaim"]
    return own + [
        claim for obj in found if obj["kind"] == "StatefulSet" for claim in obj["spec"].get("volumeClaimTemplates", [])
    ]


@pytest.mark.parametrize("case", [case for case in MATRIX if case not in ("gke", "k3s")])
def test_every_claim_has_a_class_that_the_walk_makes(case: str) -> None:
    made = classes()
    for claim in claims(objects(case)):
        spec = claim["spec"]
        assert spec.get("storageClassName") in made, claim["metadata"]["name"]
        assert set(spec["accessModes"]) <= made[spec.get("storageClassName")], claim["metadata"]["name"]


def test_the_claim_of_weights_in_the_walk_holds_all_models_and_can_be_read_on_every_node() -> None:
    (claim,) = claims(manifests())
    assert set(claim["spec"]["accessModes"]) <= classes()[claim["spec"]["storageClassName"]]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    whole = sum(m["shape"]["parameters"] * m["shape"]["weightBits"] / 8 for m in values["models"].values())
    assert float(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) * 2**30 >= whole * 1.1
    (job,) = [obj for obj in manifests() if obj["kind"] == "Job"]
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert {"name": "weights", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in volumes


def test_gpu_nodes_have_the_label_that_the_device_plugin_asks_for_and_other_nodes_do_not() -> None:
    pools = of_kind("default", "NodePool")
    labels = {pool["metadata"]["name"]: pool["spec"]["template"]["metadata"]["labels"] for pool in pools}
    assert {name: one.get("nvidia.com/gpu.present") for name, one in labels.items()} == {
        "moa-gpu-spot": "true",
        "moa-gpu-on-demand": "true",
        "moa-cpu": None,
    }


def test_the_device_plugin_has_a_version_wherever_it_is_installed() -> None:
    places = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("helm/**/*.md"), *ROOT.glob("scripts/*"), ROOT / "README.md"]
    installs = []
    for path in places:
        if path.is_file():
            joined = path.read_text().replace("\\\n", " ")
            installs += [line for line in joined.splitlines() if "nvdp/nvidia-device-plugin" in line]
    assert installs
    assert all(re.search(r"--version (\$DEVICE_PLUGIN|\d+\.\d+\.\d+)\b", line) for line in installs), installs
    assert re.search(r"\bDEVICE_PLUGIN=\d+\.\d+\.\d+\b", WALK)
