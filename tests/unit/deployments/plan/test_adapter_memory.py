"""Memory of LoRA adapters on the GPUs of a replica."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.adapter_spec import AdapterSpec
from deployments.config import load_profile
from deployments.model_shape import ModelShape
from deployments.model_spec import ModelSpec
from deployments.plan.adapter_memory import adapter_bytes, batch_rank, linear_width
from deployments.plan.choice import gpu_memory_mib
from deployments.plan.memory import GIB, check_sizes, sizes
from deployments.plan.report import report
from serving.errors import ConfigError
from tests.support.adapters import write_adapter

TINY = load_profile("tiny")
QWEN = TINY.models[0]
SHAPE = ModelShape(parameters=8_030_261_248, layers=32, kv_heads=8, head_dim=128)  # Llama 3.1 8B
LLAMA = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
QWEN_72B = {"hidden_size": 8192, "intermediate_size": 29568, "num_attention_heads": 64, "num_key_value_heads": 8}


def model(count: int = 2, shape: ModelShape = SHAPE, source: str = "org/a", **options: Any) -> ModelSpec:
    return ModelSpec(
        id="m",
        source="org/m",
        shape=shape,
        gpu_memory_gib=80,
        adapters=tuple(AdapterSpec(id=f"a{number}", source=source) for number in range(count)),
        engine_kwargs={"max_model_len": 8192, **options},
    )


def wide(width: int) -> ModelShape:
    return SHAPE.model_copy(update={"linear_width": width})


def test_each_adapter_of_a_batch_has_two_matrices_per_linear_layer() -> None:
    one = 32 * 1000 * 16 * 2  # layers, inputs and outputs, rank, bytes
    assert adapter_bytes(model(shape=wide(1000), max_lora_rank=16), wide(1000)) == 2 * one
    assert adapter_bytes(model(count=1, shape=wide(1000), max_lora_rank=32), wide(1000)) == 2 * one
    assert adapter_bytes(model(count=20, shape=wide(1000), max_lora_rank=16), wide(1000)) == 8 * one
    assert adapter_bytes(model(shape=wide(1000), max_lora_rank=16, dtype="float32"), wide(1000)) == 4 * one
    assert adapter_bytes(model(count=0), SHAPE) == 0


def test_tensor_parallelism_copies_one_of_the_two() -> None:
    whole = adapter_bytes(model(shape=wide(1000), max_lora_rank=16), wide(1000))
    for workers, options, times in ((4, {}, 2.5), (4, {"fully_sharded_loras": True}, 1)):
        spread = model(shape=wide(1000), max_lora_rank=16, tensor_parallel_size=workers, **options)
        assert adapter_bytes(spread, wide(1000)) == times * whole


@pytest.mark.parametrize(
    ("config", "parameters", "layers", "width"),
    [(LLAMA, 8_030_261_248, 32, 81_920), (QWEN_72B, 72_706_203_648, 80, 164_480)],
)
def test_the_estimate_is_a_little_above_the_width_of_real_models(
    config: dict[str, int], parameters: int, layers: int, width: int
) -> None:
    assert linear_width(config) == width
    shape = ModelShape(parameters=parameters, layers=layers, kv_heads=8, head_dim=128)
    exact = adapter_bytes(model(max_lora_rank=16), shape.model_copy(update={"linear_width": width}))
    assert exact <= adapter_bytes(model(max_lora_rank=16), shape) < 1.1 * exact


def test_experts_count_each_and_cannot_be_estimated() -> None:
    mixtral = {**LLAMA, "num_local_experts": 8}
    assert linear_width(mixtral) == 81_920 - 3 * 18_432 + 8 * 3 * 18_432
    assert linear_width({**mixtral, "moe_intermediate_size": 1024}) == 81_920 - 3 * 18_432 + 8 * 3 * 5120
    assert linear_width({"hidden_size": 4096}) is None
    sparse = SHAPE.model_copy(update={"active_parameters": 10**9})
    with pytest.raises(ConfigError, match=r"Set shape\.linear_width of 'm'"):
        adapter_bytes(model(shape=sparse, max_lora_rank=16), sparse)


def test_the_rank_is_that_of_the_files_if_it_is_not_given(tmp_path: Path) -> None:
    write_adapter(tmp_path, rank=12)
    adapters = (AdapterSpec(id="sql", source=str(tmp_path)),)
    assert batch_rank(QWEN.model_copy(update={"adapters": adapters})) == 16
    assert batch_rank(model()) is None
    with pytest.raises(ConfigError, match=r"Set engine_kwargs\.max_lora_rank of 'm' to the largest rank"):
        check_sizes(model())
    check_sizes(model().model_copy(update={"gpu_memory_gib": None}))
    assert sizes(model().model_copy(update={"gpu_memory_gib": None})).adapters_gib is None


def test_the_cache_gets_what_the_adapters_leave() -> None:
    plain, adapted = sizes(model(count=0)), sizes(model(count=8, max_lora_rank=64))
    assert adapted.adapters_gib == pytest.approx(adapter_bytes(model(count=8, max_lora_rank=64), SHAPE) / GIB)
    assert adapted.adapters_gib > 2
    assert plain.kv_gib - adapted.kv_gib == pytest.approx(adapted.adapters_gib)
    many = model(count=8, max_lora_rank=512).model_copy(update={"gpu_memory_gib": 40.0})
    check_sizes(many.model_copy(update={"adapters": ()}))
    with pytest.raises(
        ConfigError, match=r"GiB of weights and 2\d\.\d GiB of LoRA adapters.*lower max_model_len or max_loras"
    ):
        check_sizes(many)


def test_the_cost_plan_chooses_a_gpu_that_holds_them() -> None:
    more = gpu_memory_mib(model(count=8, max_lora_rank=256)) - gpu_memory_mib(model(count=0))
    gib = adapter_bytes(model(count=8, max_lora_rank=256), SHAPE) / GIB
    assert more == pytest.approx(gib / 0.9 * 1024, abs=1)


def test_the_page_lists_adapters(tmp_path: Path) -> None:
    write_adapter(tmp_path, rank=12)
    config = json.loads((QWEN.folder / "config.json").read_text())
    adapters = (AdapterSpec(id="sql", source=str(tmp_path)), AdapterSpec(id="law", source=str(tmp_path)))
    page = report(
        TINY.model_copy(update={"models": (QWEN.model_copy(update={"adapters": adapters}), *TINY.models[1:])})
    )
    places = 3  # one of them stays free on the CPU
    mib = 6 * (linear_width(config) or 0) * 16 * places * 4 / 2**20
    assert f"sql                  tiny-qwen                       2            16 {mib:>6.1f} MiB  {tmp_path}" in page
    assert f"law                  tiny-qwen                       2            16             {tmp_path}" in page
    assert "LoRA adapter" not in report(TINY)
