"""Objects of every combination of values, checked as an API server checks them."""

import subprocess
import sys
from pathlib import Path

import crds
import kubernetes_validate
import pytest
from render import CHART, FIXED, MATRIX, ROOT, helm, objects, text

OLDEST, NEWEST = "1.30", "1.36"
CUSTOM = {"RayService", "NodePool", "EC2NodeClass", "PodMonitor", "PrometheusRule", "HTTPRoute"}
needs_crds = pytest.mark.skipif(
    not crds.FOLDER.is_dir(),
    reason=f"no CRDs in {crds.FOLDER}; set CRD_DIR to a directory with one file per CRD",
)


@pytest.mark.parametrize("case", MATRIX)
def test_helm_lint_is_silent(case: str) -> None:
    files, sets = MATRIX[case]
    result = helm("lint", "--strict", files=files, sets=(*sets, *FIXED))
    assert "[ERROR]" not in result.stdout
    assert "[WARNING]" not in result.stdout


@pytest.mark.parametrize("case", MATRIX)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_built_in_kinds_fit_their_schemas(case: str, version: str) -> None:
    checked = 0
    for obj in objects(case):
        if obj["kind"] in CUSTOM:
            continue
        kubernetes_validate.validate(obj, version, strict=True)
        checked += 1
    assert checked >= 3


@needs_crds
@pytest.mark.parametrize("case", MATRIX)
def test_custom_kinds_fit_their_crds(case: str) -> None:
    checked = [obj for obj in objects(case) if (obj["apiVersion"], obj["kind"]) in crds.schemas()]
    assert {obj["kind"] for obj in checked} >= {"RayService"}
    assert [(obj["kind"], obj["metadata"]["name"], found) for obj in checked if (found := crds.errors(obj))] == []


@needs_crds
def test_the_crd_check_finds_unknown_fields_wrong_types_and_broken_rules() -> None:
    (pool, *_) = [obj for obj in objects("default") if obj["kind"] == "NodePool"]
    pool["spec"]["wieght"] = 1
    pool["spec"]["weight"] = "heavy"
    pool["spec"]["template"]["spec"]["requirements"][0] = {
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": ["a"],
    }
    found = "\n".join(crds.errors(pool))
    assert "wieght" in found
    assert "'heavy' is not of type 'integer'" in found
    assert "kubernetes.io/hostname" in found


def test_every_kind_is_checked_by_one_of_the_two() -> None:
    built_in = {
        "ConfigMap", "Secret", "ServiceAccount", "Service", "StatefulSet", "Pod", "PersistentVolumeClaim",
        "PriorityClass", "PodDisruptionBudget", "NetworkPolicy", "Ingress", "Job", "CronJob", "Role", "RoleBinding",
    }  # fmt: skip
    assert {obj["kind"] for case in MATRIX for obj in objects(case)} == CUSTOM | built_in


@pytest.mark.parametrize("case", MATRIX)
def test_output_is_clean_yaml(case: str, tmp_path: Path) -> None:
    file = tmp_path / "out.yaml"
    file.write_text(text(case))
    run = subprocess.run(
        ["yamllint", "--strict", "-d", "{rules: {key-duplicates: enable, trailing-spaces: enable}}", file],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[:2000]


def test_sources_are_clean_yaml() -> None:
    sources = [*CHART.glob("*.yaml"), *CHART.glob("files/*.yaml"), ROOT / "k8s", ROOT / "tests" / "chart" / "rules"]
    run = subprocess.run(
        [Path(sys.executable).with_name("yamllint"), "--strict", "-c", ROOT / ".yamllint.yaml", *sources],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[:2000]
