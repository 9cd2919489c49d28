#!/usr/bin/env python3
"""Generator of the plain manifests in k8s/overlays and of the rules of `make watch`: the chart is the only source.

    scripts/render_manifests.py            # after a change of the chart; needs `helm` and PyYAML

An overlay is rendered with the chart's values-<overlay>.yaml and then its own `values.yaml`. Secrets are not written:
overlays name existing ones.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parents[1] / "k8s"
CHART = HERE.parent / "helm" / "moa"
# File of each kind of object; other kinds go to OTHER.
FILES = {
    "RayService": "rayservice.yaml",
    "ConfigMap": "configmaps.yaml",
    "EC2NodeClass": "karpenter.yaml",
    "NodePool": "karpenter.yaml",
    "NetworkPolicy": "networkpolicies.yaml",
    "PodMonitor": "monitoring.yaml",
    "PrometheusRule": "monitoring.yaml",
    "StatefulSet": "redis.yaml",
    "Service": "redis.yaml",
}
OTHER = "cluster.yaml"
# Rules and alerts of a server outside Kubernetes, for `python -m deployments.watch`.
RULES = HERE.parent / "deployments" / "watch" / "rules.yaml"
EXPORTERS = ("kubeRay", "kubeStateMetrics", "karpenter", "dcgm")


class Dumper(yaml.SafeDumper):
    """YAML dumper that writes texts of several lines as blocks."""


Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def objects(overlay: Path) -> list[dict[str, Any]]:
    """Render the chart's objects for the overlay, without hooks and without Helm's labels."""
    command: list[str | Path] = ["helm", "template", "moa", CHART, "--namespace", "moa", "--no-hooks"]
    command += ["--values", CHART / f"values-{overlay.name}.yaml", "--values", overlay / "values.yaml"]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = [obj for obj in yaml.safe_load_all(rendered) if obj]
    for obj in found:
        if obj["kind"] == "Secret":
            sys.exit(f"{overlay.name}/values.yaml must name an existing secret in place of {obj['metadata']['name']}.")
        labels = obj["metadata"].setdefault("labels", {})
        labels.pop("helm.sh/chart", None)  # an extra object has none
        labels["app.kubernetes.io/managed-by"] = "kustomize"
    return found


def files(overlay: Path) -> dict[str, str]:
    """Return the text of each file of the overlay, by file name."""
    texts: dict[str, list[str]] = {}
    for obj in objects(overlay):
        text = yaml.dump(obj, Dumper=Dumper, sort_keys=False, width=110)
        texts.setdefault(FILES.get(obj["kind"], OTHER), []).append(text)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../base", *sorted(texts)],
    }
    whole = {name: "---\n" + "---\n".join(parts) for name, parts in texts.items()}
    return {**whole, "kustomization.yaml": "---\n" + yaml.dump(kustomization, sort_keys=False)}


def local_rules() -> str:
    """Return the text of the rules for a server without Kubernetes: those that need no other exporter, as one file."""
    off = [option for name in EXPORTERS for option in ("--set", f"monitoring.exporters.{name}=false")]
    command: list[str | Path] = ["helm", "template", "moa", CHART, "--namespace", "moa", *off]
    command += ["--values", CHART / "values-tiny.yaml", "--set", "monitoring.rules.enabled=true"]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = [obj for obj in yaml.safe_load_all(rendered) if obj and obj["kind"] == "PrometheusRule"]
    groups = [group for obj in found for group in obj["spec"]["groups"]]
    return "---\n" + yaml.dump({"groups": groups}, Dumper=Dumper, sort_keys=False, width=110)


def main() -> None:
    """Write the files of every overlay and remove stale ones, and the rules of `make watch`."""
    argparse.ArgumentParser(
        prog="scripts/render_manifests.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for overlay in sorted(path.parent for path in HERE.glob("overlays/*/values.yaml")):
        wanted = files(overlay)
        for name, text in wanted.items():
            (overlay / name).write_text("# Written by scripts/render_manifests.py from helm/moa.\n" + text)
        for stale in {path.name for path in overlay.glob("*.yaml")} - set(wanted) - {"values.yaml"}:
            (overlay / stale).unlink()
        print(f"{overlay.name}: {', '.join(sorted(wanted))}")
    RULES.write_text("# Written by scripts/render_manifests.py from helm/moa.\n" + local_rules())
    print(RULES.relative_to(HERE.parent))


if __name__ == "__main__":
    main()
