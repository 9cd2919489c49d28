"""docs/clouds.md and examples/gitops: what they apply fits the chart and the other documents."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from render import CHART, ROOT, Object, helm
from test_walk import EXACT, WALK, exported

PAGE = (ROOT / "docs" / "clouds.md").read_text()
EXAMPLES = ROOT / "examples" / "gitops"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
NAMES = {"MODE": "ReadWriteMany", "CLASS": "premium-rwx", "SIZE": "2560Gi", "IMAGE": "example/moa-gpu"}


def documents(text: str) -> list[Object]:
    return [obj for obj in yaml.safe_load_all(text) if obj]


def here() -> list[Object]:
    """Objects in the page's here-documents, with its variables filled in."""
    found = []
    for text in re.findall(r"<<EOF\n(.*?)\nEOF\n", PAGE, re.DOTALL):
        found += documents(re.sub(r"\$([A-Z]+)", lambda name: NAMES[name[1]], text))
    return found


def yaml_blocks() -> list[Object]:
    return [obj for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) for obj in documents(text)]


def application() -> Object:
    (found,) = documents((EXAMPLES / "argocd.yaml").read_text())
    return found


def release() -> tuple[Object, Object]:
    source, found = documents((EXAMPLES / "flux.yaml").read_text())
    return source, found


def values_of(tool: str) -> dict[str, Any]:
    if tool == "argocd":
        return application()["spec"]["source"]["helm"]["valuesObject"]
    return release()[1]["spec"]["values"]


def template(tmp_path: Path, values: dict[str, Any], *files: str) -> list[Object]:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    return documents(helm("template", "moa", files=(*files, str(file))).stdout)


def test_versions_are_those_of_the_walk() -> None:
    here_too = dict(re.findall(rf"\b([A-Z_]+)=({EXACT})(?=[\s`])", PAGE))
    assert {"KUBERAY", "PROMETHEUS", "DEVICE_PLUGIN"} <= set(here_too)
    assert here_too.items() <= exported().items()
    assert f"INSTALL_K3S_CHANNEL=v{exported()['KUBERNETES']} " in PAGE


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_the_chart_takes_the_examples_values_and_makes_no_secrets(tool: str, tmp_path: Path) -> None:
    found = template(tmp_path, values_of(tool))
    assert "Secret" not in {obj["kind"] for obj in found}, "they would change at each sync"
    assert "CHANGE-ME" not in yaml.safe_dump_all(found)
    created = set(re.findall(r"create secret generic (\S+)", PAGE))
    named = {values_of(tool)["auth"][part]["existingSecret"] for part in ("apiKey", "ray")}
    assert named | {values_of(tool)["gcs"]["redis"]["existingSecret"]} == created


def test_both_tools_install_the_same() -> None:
    assert values_of("argocd") == values_of("flux")
    source, found = release()
    app = application()["spec"]
    assert app["source"]["path"] == found["spec"]["chart"]["spec"]["chart"] == "helm/moa"
    assert (ROOT / app["source"]["path"] / "Chart.yaml").is_file()
    assert app["source"]["repoURL"] == source["spec"]["url"]
    assert app["source"]["targetRevision"] == source["spec"]["ref"]["tag"], "a tag, not a branch"
    assert found["spec"]["chart"]["spec"]["sourceRef"] == {"kind": source["kind"], "name": source["metadata"]["name"]}
    assert source["metadata"]["namespace"] == found["metadata"]["namespace"]
    assert app["destination"]["namespace"] == found["spec"]["targetNamespace"] == "moa"
    assert app["source"]["helm"]["releaseName"] == found["spec"]["releaseName"] == "moa"


def test_argo_cd_reads_the_condition_that_kuberay_sets() -> None:
    (config,) = documents((EXAMPLES / "argocd-health.yaml").read_text())
    check = config["data"]["resource.customizations.health.ray.io_RayService"]
    assert 'condition.type == "Ready"' in check
    assert '"InitializingTimeout"' in check
    assert 'condition.reason == "SuspendComplete"' in check, "of a service that is stopped at night"
    assert "`InitializingTimeout`" in WALK, "the runbook's name of the reason"


def test_every_file_of_the_examples_is_named_in_the_page() -> None:
    for file in EXAMPLES.iterdir():
        assert file.name in PAGE, file


def test_gke_takes_the_values_of_the_page(tmp_path: Path) -> None:
    (values,) = [obj for obj in yaml_blocks() if "image" in obj]
    found = template(tmp_path, values, "values-gke.yaml")
    (head,) = [obj for obj in found if obj["kind"] == "NetworkPolicy" and obj["metadata"]["name"] == "moa-head"]
    wanted = values["networkPolicy"]["apiServerCidrs"]
    assert [peer["ipBlock"]["cidr"] for peer in head["spec"]["egress"][0]["to"]] == wanted


def test_gke_policies_are_for_the_service_and_longer_than_an_answer() -> None:
    policies = {obj["kind"]: obj["spec"] for obj in yaml_blocks() if "apiVersion" in obj}
    assert set(policies) == {"GCPBackendPolicy", "HealthCheckPolicy"}
    for spec in policies.values():
        assert spec["targetRef"] == {"group": "", "kind": "Service", "name": "moa-serve-svc"}
    assert policies["GCPBackendPolicy"]["default"]["timeoutSec"] > VALUES["api"]["deadlineSeconds"]
    check = policies["HealthCheckPolicy"]["default"]["config"]["httpHealthCheck"]
    assert (check["port"], check["requestPath"]) == (8000, "/-/healthz")


def test_gke_node_pools_hold_all_replicas_and_a_second_cluster() -> None:
    replicas = [model["replicas"] for model in VALUES["models"].values()]
    gpus = next(iter(VALUES["models"].values()))["gpus"]
    assert all(model["gpus"] == gpus for model in VALUES["models"].values())
    most, least = sum(one["max"] for one in replicas), sum(one["min"] for one in replicas)
    (nodes,) = re.findall(r"--num-nodes 0 .*--max-nodes (\d+)", PAGE)
    assert int(nodes) == most + least
    assert f"count={gpus}," in PAGE
    assert f"has {most * gpus} GPUs, and an upgrade needs {least * gpus} more" in PAGE
    gke = yaml.safe_load((CHART / "values-gke.yaml").read_text())["scheduling"]
    assert f"type={gke['gpuNodeSelector']['cloud.google.com/gke-accelerator']}," in PAGE
    (pools,) = re.findall(r"for pool in (.*); do", PAGE)
    assert gke["floorNodeSelector"]["cloud.google.com/gke-nodepool"] in pools.split()


def test_the_claim_is_the_one_that_both_values_name_and_the_job_fills_it() -> None:
    claim, job = here()
    for file in ("values-gke.yaml", "values-k3s.yaml"):
        weights = yaml.safe_load((CHART / file).read_text())["weights"]
        assert (weights["source"], weights["pvc"]["claimName"]) == ("pvc", claim["metadata"]["name"])
    spec = job["spec"]["template"]["spec"]
    assert spec["volumes"] == [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}]
    (container,) = spec["containers"]
    loaded = dict(re.findall(r"hf download (\S+) --local-dir /models/(\S+)", container["args"][0]))
    assert loaded == {model["hub"]: name for name, model in VALUES["models"].items()}
    whole = sum(m["shape"]["parameters"] * m["shape"]["weightBits"] / 8 for m in VALUES["models"].values())
    sizes = re.findall(r"\bSIZE=(\d+)Gi", PAGE)
    assert len(sizes) == 2, "GKE and k3s"
    assert all(int(size) * 2**30 >= 1.1 * whole for size in sizes)
    assert spec["securityContext"]["runAsUser"] == 1000, "the user of the engines, which read it"
    # Filestore's driver has no fsGroupPolicy, so its claims of several nodes stay root's.
    (owner,) = spec["initContainers"]
    assert owner["command"] == ["chown", "1000:1000", container["volumeMounts"][0]["mountPath"]]
    assert owner["securityContext"] == {"runAsUser": 0}
    assert owner["volumeMounts"] == container["volumeMounts"]


@pytest.mark.parametrize("page", ["clouds.md", "operations.md"])
def test_values_files_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    for name in re.findall(r"\b(values-[\w-]+\.yaml)", text):
        assert (CHART / name).is_file(), name


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


# What installs an exporter so that Prometheus scrapes it.
SCRAPED = {
    "kubeRay": "--set metrics.serviceMonitor.enabled=true",
    "kubeStateMetrics": "helm install prometheus prometheus-community/kube-prometheus-stack",
    "karpenter": "helm install karpenter",
    "dcgm": "helm install dcgm-exporter",
}


@pytest.mark.parametrize(("title", "file"), [("Google Kubernetes Engine", "gke"), ("k3s with GPUs", "k3s")])
def test_alerts_need_only_exporters_that_the_page_installs(title: str, file: str) -> None:
    """MoaExporterMissing would fire for ever, and the alerts that need the exporter never."""
    commands = section(title).replace("\\\n", " ")
    found = documents(helm("template", "moa", files=(f"values-{file}.yaml",)).stdout)
    needed = {
        rule["labels"]["exporter"]
        for obj in found
        if obj["kind"] == "PrometheusRule"
        for group in obj["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "MoaExporterMissing"
    }
    assert needed == {"gke": {"kubeRay", "kubeStateMetrics"}, "k3s": set()}[file]
    for exporter in needed:
        assert SCRAPED[exporter] in commands, exporter
    if "kubeRay" in needed:
        assert commands.index("kube-prometheus-stack") < commands.index(SCRAPED["kubeRay"]), "the ServiceMonitor's kind"


def test_gke_cluster_has_what_a_gateway_needs() -> None:
    """`--addons` switches off the default ones that it does not name."""
    commands = section("Google Kubernetes Engine").replace("\\\n", " ")
    (addons,) = re.findall(r"--addons (\S+)", commands)
    assert {"HttpLoadBalancing", "GcpFilestoreCsiDriver"} <= set(addons.split(","))
    assert "--purpose REGIONAL_MANAGED_PROXY --role ACTIVE" in commands, "of the class gke-l7-regional-external-managed"


def test_gke_image_is_pushed_to_a_registry_that_docker_has_credentials_for() -> None:
    commands = section("Google Kubernetes Engine")
    (registry,) = re.findall(r"IMAGE=([\w.-]+)/", commands)
    assert commands.index(f"gcloud auth configure-docker {registry}\n") < commands.index("docker push")
