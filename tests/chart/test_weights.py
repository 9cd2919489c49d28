"""Weights from every source: the server's profile, and memory and disk of the pods that load them.

The profiles are kept in golden/profiles, where tests/unit/deployments/test_weights.py checks them as the server does.
"""

import functools
import os
import re
from pathlib import Path

import pytest
import yaml
from render import CHART, Object, helm

PROFILES = Path(__file__).parent / "golden" / "profiles"
SOURCES = {
    "s3": ("weights.source=s3",),
    "pvc": ("weights.source=pvc", "weights.pvc.claimName=weights", "weights.s3.uri="),
    "nvme": ("weights.source=nvme",),
    "hub": ("weights.source=hub", "weights.s3.uri="),
}
FILES = {"large": (), "gpt-oss": ("values-gpt-oss.yaml",)}
SHM_GIB, ENGINE_GIB, WORKER_GIB = 16, 8, 4  # shared memory; Ray, the API process and the engine; each GPU's process
OTHER_DISK_GIB = 20  # logs, temporary files, caches of compiled kernels
BYTES = {"Gi": 2**30, "Mi": 2**20, "G": 10**9, "": 1}
CASES = pytest.mark.parametrize(("values", "source"), [(values, source) for values in FILES for source in SOURCES])


@functools.cache
def rendered(values: str, source: str, *more: str) -> tuple[Object, ...]:
    out = helm("template", "moa", files=FILES[values], sets=(*SOURCES[source], *more)).stdout
    return tuple(obj for obj in yaml.load_all(out, yaml.CSafeLoader) if obj)


def models(values: str) -> dict[str, Object]:
    merged = yaml.safe_load((CHART / "values.yaml").read_text())["models"]
    for file in FILES[values]:
        merged |= yaml.safe_load((CHART / file).read_text())["models"]
    return {model_id: model for model_id, model in merged.items() if model}


def gib(quantity: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity).groups()
    return float(number) * BYTES[unit] / 2**30


def weights_gib(model: Object) -> float:
    return model["shape"]["parameters"] * model["shape"]["weightBits"] / 8 / 2**30


def model_pods(values: str, source: str, *more: str) -> list[tuple[Object, Object]]:
    """Each model of the values with the spec of each group of its pods."""
    (service,) = [obj for obj in rendered(values, source, *more) if obj["kind"] == "RayService"]
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    found = []
    for model_id, model in models(values).items():
        name = model_id.replace(".", "-")
        pods = [g["template"]["spec"] for g in groups if g["groupName"] in (name, f"{name}-floor")]
        assert pods, model_id
        found += [(model, pod) for pod in pods]
    return found


@CASES
def test_the_servers_profile_is_as_recorded(values: str, source: str) -> None:
    (config,) = [obj for obj in rendered(values, source) if "profile.yaml" in (obj.get("data") or {})]
    file = PROFILES / f"{values}-{source}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(config["data"]["profile.yaml"])
    assert file.read_text() == config["data"]["profile.yaml"], "record it with UPDATE_GOLDEN=1 and read the difference"


@CASES
def test_the_disk_of_a_pod_holds_the_weights_that_are_copied_to_it(values: str, source: str) -> None:
    for model, pod in model_pods(values, source):
        resources = pod["containers"][0]["resources"]
        copied = weights_gib(model) if source in ("nvme", "hub") else 0
        for kind in ("requests", "limits"):
            assert gib(resources[kind]["ephemeral-storage"]) >= copied * 1.05 + OTHER_DISK_GIB, model["hub"]
        if source == "nvme":
            (volume,) = [one for one in pod["volumes"] if one["name"] == "weights"]
            limit = gib(volume["emptyDir"]["sizeLimit"])
            assert copied * 1.05 <= limit <= gib(resources["limits"]["ephemeral-storage"]) - OTHER_DISK_GIB


@CASES
def test_the_memory_of_a_pod_holds_what_loading_needs(values: str, source: str) -> None:
    for model, pod in model_pods(values, source):
        container = pod["containers"][0]
        env = {one["name"]: one.get("value") for one in container["env"]}
        assert ("RUNAI_STREAMER_MEMORY_LIMIT" in env) == (source == "s3")
        buffer = int(env.get("RUNAI_STREAMER_MEMORY_LIMIT", 0)) / 2**30
        memory = gib(container["resources"]["limits"]["memory"])
        assert memory >= SHM_GIB + ENGINE_GIB + model["gpus"] * (WORKER_GIB + buffer), model["hub"]
        assert memory >= weights_gib(model) + SHM_GIB, "the files stay in the page cache while they are loaded"


def test_a_size_limit_that_is_given_counts_in_the_disk_of_the_pod() -> None:
    for _, pod in model_pods("large", "nvme", "weights.nvme.sizeLimit=300G"):
        (volume,) = [one for one in pod["volumes"] if one["name"] == "weights"]
        assert volume["emptyDir"]["sizeLimit"] == "300G"
        assert pod["containers"][0]["resources"]["limits"]["ephemeral-storage"] == "320Gi"  # 279.4 + 40, rounded up
