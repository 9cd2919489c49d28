"""Instance choice of a model's pods: the chart's arithmetic against the memory that the engine needs."""

import math

import pytest
import yaml
from render import CHART, groups

# MiB per GPU as EC2 reports it, and GPUs per instance.
INSTANCES = {
    "g6e.xlarge": (45776, 1), "g6e.12xlarge": (45776, 4), "g6e.48xlarge": (45776, 8),
    "g7e.2xlarge": (97887, 1), "g7e.12xlarge": (97887, 2), "g7e.24xlarge": (97887, 4), "g7e.48xlarge": (97887, 8),
    "p4d.24xlarge": (40960, 8), "p5.48xlarge": (81920, 8),
    "g6.12xlarge": (22888, 4), "g5.12xlarge": (22888, 4),
}  # fmt: skip
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def fitting(group: str) -> set[str]:
    """Instances on which the group's pods can be scheduled."""
    (term,) = groups("default")[group]["template"]["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    above = {
        e["key"].rpartition("-")[2]: int(e["values"][0]) for e in term["matchExpressions"] if e["operator"] == "Gt"
    }
    return {name for name, (mib, count) in INSTANCES.items() if mib > above["memory"] and count > above["count"]}


@pytest.mark.parametrize("model_id", VALUES["models"])
def test_the_least_memory_is_weights_plus_cache_plus_overhead(model_id: str) -> None:
    model = VALUES["models"][model_id]
    shape = model["shape"]
    weights = shape["parameters"] * shape["weightBits"] / 8
    cache = 2 * shape["layers"] * shape["kvHeads"] * shape["headDim"] * shape["kvBits"] / 8 * model["kvTokens"]
    per_gpu = (weights + cache) / model["gpus"] / 2**30 + VALUES["gpuOverheadGiB"]
    least_gib = math.ceil(per_gpu / VALUES["gpuMemoryUtilization"])
    group = model_id.lower().replace(".", "-")
    (term,) = groups("default")[group]["template"]["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    (memory,) = [e for e in term["matchExpressions"] if e["key"].endswith("gpu-memory")]
    assert memory["values"] == [str(least_gib * 1024 - 1)]


def test_seventy_billion_parameters_on_two_gpus_need_80_gb_each() -> None:
    for group in ("qwen2-5-72b", "qwen2-5-72b-floor", "llama-3-1-70b"):
        assert fitting(group) == {"g7e.12xlarge", "g7e.24xlarge", "g7e.48xlarge", "p5.48xlarge"}


def test_mixtral_fits_all_four_families_and_no_small_gpu() -> None:
    assert fitting("mixtral-8x7b") == {
        "g6e.12xlarge", "g6e.48xlarge", "g7e.12xlarge", "g7e.24xlarge", "g7e.48xlarge", "p4d.24xlarge", "p5.48xlarge"
    }  # fmt: skip
