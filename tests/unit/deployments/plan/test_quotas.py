"""Quotas of EC2, and the document that tells operators what to ask for."""

import re

import pytest
import yaml

from deployments.config import load_profile
from deployments.plan.__main__ import main
from deployments.plan.quotas import Quota, quotas
from tests.support.paths import ROOT

LARGE = load_profile("large")
VALUES = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
PRICES = yaml.safe_load((ROOT / "deployments" / "plan" / "prices.yaml").read_text())
INSTANCES = PRICES["hardware"]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text()


def asked() -> dict[str, int]:
    """Code of each quota in the document -> vCPUs that it says to ask for."""
    found = re.findall(r"^ *quota (L-[0-9A-F]{8}) (\d+)", DOCUMENT, re.MULTILINE)
    return {code: int(vcpus) for code, vcpus in found}


def test_large_needs_a_node_for_each_replica_and_a_second_cluster() -> None:
    """Nodes of 48 vCPUs: 6 at most, 3 at least, and one of each on demand."""
    assert quotas(LARGE) == [
        Quota("L-3819A6DF", "All G and VT Spot Instance Requests", 5 * 48, 2 * 48),
        Quota("L-DB2E81BA", "Running On-Demand G and VT instances", 48, 48),
    ]
    assert [quota.vcpus for quota in quotas(LARGE)] == [336, 96]


def test_without_spot_capacity_all_of_it_is_on_demand() -> None:
    (quota,) = quotas(LARGE, spot=False)
    assert (quota.code, quota.running, quota.upgrade) == ("L-DB2E81BA", 6 * 48, 3 * 48)


def test_replicas_on_one_node_count_it_once() -> None:
    """Two replicas of two GPUs each fit one g6e.12xlarge of four."""
    shape = {"parameters": 20_000_000_000, "layers": 40, "kv_heads": 8, "head_dim": 128, "weight_bits": 8}
    model = LARGE.models[0].model_copy(
        update={
            "id": "a",
            "shape": type(LARGE.models[0].shape).model_validate(shape),
            "replicas": LARGE.models[0].replicas.model_copy(update={"min": 2, "max": 4}),
        }
    )
    profile = LARGE.model_copy(update={"models": [model], "team": {"aggregator": "b", "proposers": ["a"]}})
    (quota,) = quotas(profile)
    assert (quota.running, quota.upgrade) == (2 * 48, 48)


def test_a_model_without_a_maximum_stays_at_its_minimum() -> None:
    model = LARGE.models[0]
    fixed = model.model_copy(update={"replicas": model.replicas.model_copy(update={"min": 2, "max": None})})
    (quota,) = quotas(LARGE.model_copy(update={"models": [fixed]}), spot=False)
    assert (quota.running, quota.upgrade) == (2 * 48, 2 * 48)


def test_the_document_asks_for_enough() -> None:
    wanted = asked()
    for quota in quotas(LARGE):
        assert wanted[quota.code] >= quota.vcpus, quota.name
    (fallback,) = quotas(LARGE, spot=False)
    assert wanted[fallback.code] >= max(fallback.running, 2 * fallback.upgrade), "all at most, or an upgrade at least"


def test_the_document_asks_for_what_the_node_pools_may_start_on_demand() -> None:
    """A node pool with more GPUs than the quota holds would try in vain."""
    per_gpu = INSTANCES["g7e.12xlarge"]["vcpus"] / INSTANCES["g7e.12xlarge"]["gpus"]
    assert asked()["L-DB2E81BA"] >= VALUES["karpenter"]["gpu"]["onDemandLimit"] * per_gpu
    operators = 2 * 2  # two m7i.large
    assert asked()["L-1216C47A"] >= VALUES["karpenter"]["cpu"]["limit"] + operators


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    main(["large", "--quotas"])
    printed = capsys.readouterr().out
    assert re.search(r"^L-3819A6DF  All G and VT Spot Instance Requests +240 +96 +336$", printed, re.MULTILINE)
    assert re.search(r"^L-DB2E81BA .* +288 +144 +432$", printed, re.MULTILINE)


def test_one_page_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["large", "--quotas", "--cost"])
    assert "not allowed with argument" in capsys.readouterr().err
