"""The chart's list of metrics against the sources of Ray, vLLM and this repository's proxy."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT

METRICS = yaml.safe_load((ROOT / "helm" / "moa" / "files" / "metrics.yaml").read_text())


def source(package: str, folder: str) -> str:
    """Python source of a folder of an installed package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return "".join(file.read_text() for file in (Path(spec.origin).parent / folder).rglob("*.py"))


def test_metrics_of_the_engine_are_those_of_vllm_and_of_ray_serve() -> None:
    vllm, serve = source("vllm", "v1/metrics"), source("ray", "serve/_private")
    for name, metric in METRICS["engine"].items():
        # Ray adds `ray_`, Prometheus `_total`; vLLM's colon becomes an underscore.
        stem = name.removeprefix("ray_").removesuffix("_total" if metric["type"] == "counter" else "")
        known = {f'"vllm:{stem.removeprefix("vllm_")}"'} if stem.startswith("vllm_") else {f'"{stem}"'}
        assert any(quoted in (vllm if stem.startswith("vllm_") else serve) for quoted in known), name


def test_metrics_of_gpus_are_those_of_rays_reporter() -> None:
    reporter = source("ray", "dashboard/modules/reporter")
    for name in METRICS["gpu"]:
        assert f'"{name.removeprefix("ray_")}"' in reporter, name


def test_metrics_of_the_proxy_are_those_of_its_supervisor() -> None:
    supervisor = "".join(file.read_text() for file in (ROOT / "deployments" / "cluster" / "haproxy").rglob("*.py"))
    assert set(METRICS["proxy"]) == set(re.findall(r"\bmoa_haproxy_\w+_total\b", supervisor))


@pytest.mark.parametrize("exporter", sorted(set(METRICS) - {"versions"}))
def test_every_metric_has_a_type_and_labels(exporter: str) -> None:
    for name, metric in METRICS[exporter].items():
        assert metric["type"] in {"gauge", "counter", "histogram"}, name
        assert set(metric) == {"type", "labels"}, name
        assert metric["labels"] or name in {"ray_moa_budget_usd_per_month", "ray_moa_lost_records_total"}, name
