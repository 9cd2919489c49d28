"""Sizes of a model as vLLM serves it, from the profile or from the files of local weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from deployments.config import load_profile
from deployments.model_shape import ModelShape
from deployments.model_spec import ModelSpec
from deployments.plan.memory import GIB, check_sizes, shape_of, sizes
from serving.errors import ConfigError

CONFIG = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3, "hidden_size": 32}


def local(folder: Path, engine_kwargs: Mapping[str, str] = {}, config: Mapping[str, int] = CONFIG) -> ModelSpec:
    """A model whose weights are in `folder`."""
    (folder / "config.json").write_text(json.dumps(config))
    return ModelSpec(id="m", source=str(folder), engine_kwargs={"max_model_len": 8, **engine_kwargs})


def store(folder: Path, **tensors: np.ndarray[Any, Any]) -> None:
    for name, tensor in tensors.items():
        save_file({name: tensor}, folder / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [("float32", 32), ("float", 32), ("bfloat16", 16), ("float16", 16), ("half", 16), ("auto", 16), (None, 16)],
)
@pytest.mark.parametrize("stored", [np.float16, np.float32])
def test_weights_and_cache_have_the_bits_of_the_engines_dtype(
    tmp_path: Path, stored: type[np.floating[Any]], dtype: str | None, bits: int
) -> None:
    store(tmp_path, a=np.zeros((5, 4), stored), b=np.zeros(3, stored))
    shape = shape_of(local(tmp_path, {} if dtype is None else {"dtype": dtype}))
    assert shape == ModelShape(parameters=23, layers=3, kv_heads=2, head_dim=8, weight_bits=bits, kv_bits=bits)


@pytest.mark.parametrize(("cache", "bits"), [("auto", 32), ("bfloat16", 16), ("fp8", 8), ("fp8_e5m2", 8)])
def test_the_cache_may_have_its_own_dtype(tmp_path: Path, cache: str, bits: int) -> None:
    store(tmp_path, a=np.zeros(4, np.float32))
    assert shape_of(local(tmp_path, {"dtype": "float32", "kv_cache_dtype": cache})).kv_bits == bits


def test_quantized_tensors_keep_their_stored_size(tmp_path: Path) -> None:
    store(tmp_path, a=np.zeros(6, np.int8), b=np.zeros(2, np.float32), c=np.zeros(2, np.bool_))
    assert shape_of(local(tmp_path, {"dtype": "bfloat16"})).weight_bytes == 6 + 2 * 2 + 2


def test_head_sizes_have_the_defaults_of_transformers(tmp_path: Path) -> None:
    store(tmp_path, a=np.zeros(4, np.float16))
    without_groups = {name: value for name, value in CONFIG.items() if name != "num_key_value_heads"}
    assert shape_of(local(tmp_path, config=without_groups)).kv_heads == 4
    assert shape_of(local(tmp_path, config={**CONFIG, "head_dim": 64})).head_dim == 64


@pytest.mark.parametrize("model", load_profile("tiny").models, ids=lambda model: model.id)
def test_the_embedded_trio_is_served_in_float32(model: ModelSpec) -> None:
    assert model.path is not None
    stored_bytes = (model.path / "model.safetensors").stat().st_size  # bfloat16, and a header
    assert 1.96 * stored_bytes < sizes(model).weights_gib * GIB < 2 * stored_bytes
    assert shape_of(model).kv_bits == 32


def test_the_environment_sets_the_size_of_the_cpu_cache() -> None:
    model = load_profile("tiny").models[0]
    found, shape = sizes(model), shape_of(model)
    assert found.kv_gib == 1
    assert found.kv_tokens == GIB // (2 * shape.layers * shape.kv_heads * shape.head_dim * 4)
    assert sizes(model.model_copy(update={"env": {}})).kv_gib == 4


def test_a_gpus_cache_is_its_share_less_overhead_and_weights() -> None:
    shape = ModelShape(parameters=GIB, layers=2, kv_heads=4, head_dim=8)  # 2 GiB, 256 bytes per token
    model = ModelSpec(
        id="m",
        source="org/m",
        shape=shape,
        gpu_memory_gib=20,
        engine_kwargs={"max_model_len": 8, "tensor_parallel_size": 2},
    )
    assert sizes(model).kv_gib == pytest.approx(2 * (20 * 0.9 - 3) - 2)
    assert sizes(model).kv_tokens == pytest.approx(28 * GIB / 256, abs=1)
    assert sizes(model.model_copy(update={"gpu_memory_gib": None})).kv_tokens is None


def test_a_model_that_does_not_fit_is_refused_with_both_numbers() -> None:
    large = load_profile("large").models[0]
    check_sizes(large)
    with pytest.raises(
        ConfigError, match=r"room for 0 tokens of key-value cache next to 67.7 GiB .* its context is 32768"
    ):
        check_sizes(large.model_copy(update={"gpu_memory_gib": 22.0}))


def test_local_weights_of_another_format_need_a_shape(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'m' has no safetensors files in .*; set its 'shape'"):
        shape_of(local(tmp_path))


def test_unknown_sizes_are_an_error_only_where_they_are_asked_for() -> None:
    model = ModelSpec(id="m", source="org/m", engine_kwargs={"max_model_len": 8})
    check_sizes(model)
    with pytest.raises(ConfigError, match="sizes of 'm' are unknown; set its 'shape'"):
        sizes(model)


WINDOWED = {
    "parameters": GIB,
    "layers": 6,
    "kv_heads": 4,
    "head_dim": 8,
    "full_attention_layers": 2,
    "window_tokens": 64,
}


def on_gpu(placement: Mapping[str, Any] | None = None, **engine_kwargs: object) -> ModelSpec:
    """A model of 2 GiB on GPUs of 20 GiB; a token takes 256 bytes, the window of a request 32 KiB."""
    return ModelSpec.model_validate(
        {
            "id": "m",
            "source": "org/m",
            "shape": WINDOWED,
            "gpu_memory_gib": 20,
            "placement": placement,
            "engine_kwargs": {"max_model_len": 8, **engine_kwargs},
        }
    )


def test_layers_with_a_window_take_a_constant_part_of_the_cache_per_request() -> None:
    assert WINDOWED["full_attention_layers"] * 2 * 4 * 8 * 2 == 256
    found = sizes(on_gpu(max_num_seqs=32))
    assert found.kv_bytes_per_token == 256
    assert found.kv_gib == pytest.approx(20 * 0.9 - 3 - 2 - 32 * 32 / 2**20)
    assert sizes(on_gpu()).kv_gib == pytest.approx(20 * 0.9 - 3 - 2 - 1024 * 32 / 2**20), "vLLM's own max_num_seqs"


def test_a_cache_of_fixed_size_is_that_of_every_gpu() -> None:
    fixed = on_gpu(kv_cache_memory_bytes=3 * GIB, max_num_seqs=32, tensor_parallel_size=2)
    assert sizes(fixed).kv_gib == pytest.approx(6 - 32 * 32 / 2**20)
    check_sizes(fixed)


def test_more_gpus_than_heads_hold_copies_of_the_cache() -> None:
    assert sizes(on_gpu(tensor_parallel_size=4)).kv_bytes_per_token == 256
    eight = sizes(on_gpu(tensor_parallel_size=8, max_num_seqs=32))
    assert eight.kv_bytes_per_token == 512
    assert eight.kv_gib == pytest.approx(8 * (20 * 0.9 - 3) - 2 - 2 * 32 * 32 / 2**20)


def test_a_fixed_cache_must_fit_next_to_the_weights() -> None:
    sentence = "'m' needs 2.0 GiB for weights and 14.0 GiB for its cache, but has 15.0 GiB for both"
    with pytest.raises(ConfigError, match=sentence):
        check_sizes(on_gpu(kv_cache_memory_bytes=14 * GIB))


def test_a_model_on_a_part_of_a_gpu_may_use_that_part_of_its_memory() -> None:
    half = {"bundle_per_worker": {"GPU": 0.5, "CPU": 1}}
    check_sizes(on_gpu(half, gpu_memory_utilization=0.5))
    with pytest.raises(
        ConfigError, match=r"reserves 0[.]5 of a GPU, but may use 0[.]9 of its memory; lower gpu_memory"
    ):
        check_sizes(on_gpu(half))
