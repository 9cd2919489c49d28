"""LoRA adapters by values: in the profile, on the disk and in the memory of the pods of their model."""

import math

import pytest
import yaml
from render import CHART, ROOT, groups, helm, of_kind

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
QWEN = "qwen2.5-72b"
RANK, COUNT, GPUS = 64, 2, 2  # the smallest of vLLM's ranks above 40
SHAPE = VALUES["models"][QWEN]["shape"]
WIDTH = math.ceil(5.6 * math.sqrt(SHAPE["parameters"] / SHAPE["layers"]))
ONE_GIB = SHAPE["layers"] * WIDTH * RANK * 2 / 2**30


def profile(case: str = "adapters") -> dict:
    (config,) = [c for c in of_kind(case, "ConfigMap") if "profile.yaml" in c["data"]]
    return yaml.safe_load(config["data"]["profile.yaml"])


def qwen(found: dict) -> dict:
    return next(model for model in found["models"] if model["id"] == QWEN)


def rendered(*sets: str) -> dict:
    objects = yaml.safe_load_all(helm("template", "moa", sets=sets).stdout)
    [config] = [one for one in objects if one and "profile.yaml" in (one.get("data") or {})]
    return yaml.safe_load(config["data"]["profile.yaml"])


def test_the_profile_has_them_with_the_rank_that_holds_all() -> None:
    model = qwen(profile())
    assert model["adapters"] == [
        {"id": "qwen-law", "source": "/models/qwen-law", "description": "", "chat_template": "base"},
        {"id": "qwen-sql", "source": "/models/qwen-sql", "description": "writes SQL"},
    ]
    assert model["engine_kwargs"]["max_lora_rank"] == RANK
    assert profile()["team"]["aggregator"] == "qwen-law"
    plain = qwen(profile("default"))
    assert "adapters" not in plain
    assert "max_lora_rank" not in plain["engine_kwargs"]


@pytest.mark.parametrize(
    ("sets", "source"),
    [
        ((), "s3://CHANGE-ME/models/sql"),
        (("weights.source=hub", "weights.s3.uri="), "org/sql"),
        (("weights.source=pvc", "weights.pvc.claimName=w", "weights.s3.uri="), "/models/sql"),
    ],
)
def test_they_come_from_where_the_weights_come_from(sets: tuple[str, ...], source: str) -> None:
    adapter = "models.qwen2\\.5-72b.adapters.sql"
    price = f"{adapter}.usdPerMillionTokens"
    found = rendered(
        f"{adapter}.rank=16", f"{adapter}.hub=org/sql", f"{price}.prompt=1", f"{price}.completion=2", *sets
    )
    [one] = qwen(found)["adapters"]
    assert (one["id"], one["source"]) == ("sql", source)
    assert one["usd_per_million_tokens"] == {"prompt": 1, "completion": 2}


def test_the_pods_copy_them_beside_the_weights() -> None:
    pod = groups("adapters")["qwen2-5-72b"]["template"]["spec"]
    copies = [container["command"][-1] for container in pod["initContainers"]]
    assert copies == ["/models/qwen2.5-72b", "/models/qwen-law", "/models/qwen-sql"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "weights"]
    weights = math.ceil(SHAPE["parameters"] * SHAPE["weightBits"] * 1.1 / 8 / 2**30)
    assert volume["emptyDir"]["sizeLimit"] == f"{weights + math.ceil(COUNT * ONE_GIB)}Gi"
    other = groups("adapters")["mixtral-8x7b"]["template"]["spec"]["initContainers"]
    assert len([container for container in other if container["name"].startswith("adapter")]) == 0


def least_gib(case: str, group: str = "qwen2-5-72b") -> int:
    (term,) = groups(case)[group]["template"]["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    (memory,) = [e for e in term["matchExpressions"] if e["key"].endswith("gpu-memory")]
    return (int(memory["values"][0]) + 1) // 1024


def test_the_gpus_have_room_for_a_batch_of_them() -> None:
    model = VALUES["models"][QWEN]
    weights = SHAPE["parameters"] * SHAPE["weightBits"] / 8
    cache = 2 * SHAPE["layers"] * SHAPE["kvHeads"] * SHAPE["headDim"] * SHAPE["kvBits"] / 8 * model["kvTokens"]
    adapters = COUNT * ONE_GIB * (1 + GPUS) / 2
    per_gpu = ((weights + cache) / 2**30 + adapters) / GPUS + VALUES["gpuOverheadGiB"]
    assert least_gib("adapters") == math.ceil(per_gpu / VALUES["gpuMemoryUtilization"]) > least_gib("default")
    assert least_gib("adapters", "mixtral-8x7b") == least_gib("default", "mixtral-8x7b")


def test_the_arithmetic_is_that_of_the_servers_plan() -> None:
    source = (ROOT / "deployments" / "plan" / "adapter_memory.py").read_text()
    assert "WIDTH_PER_ROOT = 5.6\n" in source
    assert "RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)" in (ROOT / "deployments" / "adapter_spec.py").read_text()
    template = (CHART / "templates" / "_adapters.tpl").read_text()
    assert "mulf 5.6" in template
    assert "list 1 8 16 32 64 128 256 320 512" in template
