"""k8s/ equals the rendered chart, and kustomize changes nothing in it."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from render import ROOT, Object

K8S = ROOT / "k8s"
OVERLAYS = ["tiny", "large"]

spec = importlib.util.spec_from_file_location("render_manifests", ROOT / "scripts" / "render_manifests.py")
assert spec is not None
assert spec.loader is not None
render_manifests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(render_manifests)


def load(text: str) -> list[Object]:
    return [obj for obj in yaml.safe_load_all(text) if obj]


def identity(obj: Object) -> tuple[str, str, str]:
    return obj["apiVersion"], obj["kind"], obj["metadata"]["name"]


def resources(kustomization: Path) -> list[Object]:
    """Objects that the kustomization lists. With `resources` alone, `kustomize build` does nothing else."""
    content = yaml.safe_load((kustomization / "kustomization.yaml").read_text())
    assert set(content) == {"apiVersion", "kind", "resources"}
    found: list[Object] = []
    for entry in content["resources"]:
        path = kustomization / entry
        found += resources(path) if path.is_dir() else load(path.read_text())
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_files_are_what_the_chart_renders_now(overlay: str) -> None:
    folder = K8S / "overlays" / overlay
    wanted = render_manifests.files(folder)
    for name, text in wanted.items():
        assert load((folder / name).read_text()) == load(text), f"{name} is stale: run scripts/render_manifests.py"
    assert {path.name for path in folder.glob("*.yaml")} == {*wanted, "values.yaml"}


def test_the_rules_of_make_watch_are_what_the_chart_renders_now() -> None:
    written = load(render_manifests.RULES.read_text())
    assert written == load(render_manifests.local_rules()), "rules.yaml is stale: run scripts/render_manifests.py"
    rules = [rule for group in written[0]["groups"] for rule in group["rules"]]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    assert {"MoaErrorsFast", "MoaSlowFirstToken", "MoaOverBudget", "MoaDegraded"} <= alerts
    assert not [rule for rule in rules if re.search("kube|karpenter|DCGM", rule["expr"])]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_overlay_holds_every_object_of_the_chart_once(overlay: str) -> None:
    found = sorted(identity(obj) for obj in resources(K8S / "overlays" / overlay))
    chart = [identity(obj) for obj in render_manifests.objects(K8S / "overlays" / overlay)]
    assert found == sorted([*chart, ("v1", "Namespace", "moa")])


@pytest.mark.skipif(
    not (shutil.which("kubectl") or shutil.which("kustomize")), reason="neither kubectl nor kustomize is installed"
)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_the_same_objects(overlay: str) -> None:
    build = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    folder = K8S / "overlays" / overlay
    run = subprocess.run([*build, folder], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert {identity(obj): obj for obj in load(run.stdout)} == {identity(obj): obj for obj in resources(folder)}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_written(overlay: str) -> None:
    assert "Secret" not in {obj["kind"] for obj in resources(K8S / "overlays" / overlay)}
