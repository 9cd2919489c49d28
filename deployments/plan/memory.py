"""Memory arithmetic: size of the weights, and tokens of key-value cache that fit in the remaining memory."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from deployments.model_shape import ModelShape
from deployments.model_spec import ModelSpec
from deployments.plan.adapter_memory import adapter_bytes, batch_rank, linear_width
from serving.errors import ConfigError

GIB = 2**30
GPU_OVERHEAD_GIB = 3.0  # per GPU: activations, CUDA graphs, NCCL
GPU_SHARE = 0.9  # vLLM's default of gpu_memory_utilization
CPU_KV_GIB = 4  # vLLM's default of VLLM_CPU_KVCACHE_SPACE
MAX_NUM_SEQS = 1024  # vLLM's largest default, of a GPU with much memory
# Bits per value of vLLM's `dtype` option. Its default "auto" serves in 16 bits, stored float32 included.
DTYPE_BITS = {"float": 32, "float32": 32}
DEFAULT_DTYPE_BITS = 16
# Bits per value of vLLM's `kv_cache_dtype` option; its default "auto" is the model's dtype.
KV_DTYPE_BITS = {"float16": 16, "bfloat16": 16, "fp8": 8, "fp8_e4m3": 8, "fp8_e5m2": 8, "fp8_inc": 8}
FLOATS = frozenset({"F16", "BF16", "F32", "F64"})  # stored types loaded as `dtype`; quantized ones are loaded as stored
BITS = re.compile(r"\d+")  # in the name of a stored type: BF16, F8_E4M3, I32
BOOL_BITS = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """Memory of one replica.

    `adapters_gib` is the room for the LoRA adapters of a batch; None if their rank is unknown here. `kv_gib` is the
    cache without the sliding windows of `max_num_seqs` requests; None if the profile does not say how large a GPU is.
    """

    weights_gib: float
    kv_bytes_per_token: float
    kv_gib: float | None
    adapters_gib: float | None = 0.0

    @property
    def kv_tokens(self) -> int | None:
        """Capacity of the key-value cache in tokens, for all running requests together."""
        return None if self.kv_gib is None else int(self.kv_gib * GIB / self.kv_bytes_per_token)


def sizes(model: ModelSpec) -> Sizes:
    """Memory of one replica of `model`.

    Raises:
        ConfigError: neither the profile nor a local config.json gives the model's shape; or the rank of its adapters,
            or the width of its layers with experts, is unknown.
    """
    shape = shape_of(model)
    adapters_gib = _adapters_gib(model, shape)
    # Workers beyond the number of key-value heads hold copies of them.
    copies = max(1.0, int(model.engine_kwargs.get("tensor_parallel_size", 1)) / shape.kv_heads)
    window_gib = copies * shape.window_bytes * int(model.engine_kwargs.get("max_num_seqs", MAX_NUM_SEQS)) / GIB
    weights_gib = shape.weight_bytes / GIB
    cache_gib = _cache_gib(model, weights_gib + (adapters_gib or 0))
    kv_gib = None if cache_gib is None else cache_gib - window_gib
    return Sizes(weights_gib, copies * shape.kv_bytes_per_token, kv_gib, adapters_gib)


def _adapters_gib(model: ModelSpec, shape: ModelShape) -> float | None:
    """Memory of the adapters; None if it is unknown and nothing is computed from it."""
    if not model.adapters:
        return 0.0
    computed = model.accelerator == "gpu" and model.gpu_memory_gib is not None
    return adapter_bytes(model, shape) / GIB if computed or batch_rank(model) is not None else None


def _cache_gib(model: ModelSpec, weights_gib: float) -> float | None:
    """Memory of the whole cache: as the profile sets it, else what the GPUs have left. None: unknown."""
    if model.accelerator == "cpu":
        return float(model.env.get("VLLM_CPU_KVCACHE_SPACE", CPU_KV_GIB))
    fixed_gib, room_gib = _fixed_cache_gib(model), _room_gib(model)
    if fixed_gib is not None:
        return fixed_gib
    return None if room_gib is None else room_gib - weights_gib


def _fixed_cache_gib(model: ModelSpec) -> float | None:
    """Cache of all GPUs of a replica if `kv_cache_memory_bytes`, which is for one GPU, sets it."""
    fixed: int | None = model.engine_kwargs.get("kv_cache_memory_bytes")
    return None if fixed is None else model.gpus * fixed / GIB


def _room_gib(model: ModelSpec) -> float | None:
    """Memory for weights and cache on the replica's GPUs; None if the profile does not say how large they are."""
    if model.gpu_memory_gib is None:
        return None
    return model.gpus * (model.gpu_memory_gib * _memory_share(model) - GPU_OVERHEAD_GIB)


def _memory_share(model: ModelSpec) -> float:
    return float(model.engine_kwargs.get("gpu_memory_utilization", GPU_SHARE))


def shape_of(model: ModelSpec) -> ModelShape:
    """The profile's `shape`, or the one that config.json and the weights' headers give as served.

    Raises:
        ConfigError: the profile has no `shape`, and the weights are not local or not safetensors.
    """
    if model.shape is not None:
        return model.shape
    if model.path is None:
        raise ConfigError(f"The sizes of '{model.id}' are unknown; set its 'shape' to the values of its config.json.")
    config = json.loads((model.path / "config.json").read_text())
    heads = int(config["num_attention_heads"])
    dtype_bits = DTYPE_BITS.get(str(model.engine_kwargs.get("dtype")), DEFAULT_DTYPE_BITS)
    parameters = weight_bits = 0
    for count, stored in _tensors(model.path):
        parameters += count
        weight_bits += count * (dtype_bits if stored in FLOATS else _stored_bits(stored))
    if not parameters:
        raise ConfigError(f"'{model.id}' has no safetensors files in {model.path}; set its 'shape'.")
    return ModelShape(
        parameters=parameters,
        layers=config["num_hidden_layers"],
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        weight_bits=weight_bits / parameters,
        kv_bits=KV_DTYPE_BITS.get(str(model.engine_kwargs.get("kv_cache_dtype")), dtype_bits),
        linear_width=linear_width(config),
    )


def _tensors(folder: Path) -> Iterator[tuple[int, str]]:
    """Values and stored type, such as BF16, of every tensor in `folder`, from the headers of its safetensors files."""
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  # not a mapping
                tensor = file.get_slice(name)
                yield math.prod(tensor.get_shape()), tensor.get_dtype()


def _stored_bits(stored: str) -> int:
    found = BITS.search(stored)
    return int(found.group()) if found else BOOL_BITS


def check_sizes(model: ModelSpec) -> None:
    """Check that the GPUs that the profile describes hold the model and one full context.

    Raises:
        ConfigError: they do not, or a model on a part of a GPU may use more than its part.
    """
    if model.gpus and _memory_share(model) > model.gpu_share:
        raise ConfigError(
            f"'{model.id}' reserves {model.gpu_share:g} of a GPU, but may use {_memory_share(model):g} of its memory;"
            f" lower gpu_memory_utilization to at most {model.gpu_share:g}, so that the models that share the GPU fit."
        )
    if model.shape is None and model.path is None:
        return
    found = sizes(model)
    fixed = f"{found.weights_gib:.1f} GiB of weights"
    fixed += f" and {found.adapters_gib:.1f} GiB of LoRA adapters" if found.adapters_gib else ""
    if found.kv_tokens is not None and found.kv_tokens < model.context_tokens:
        raise ConfigError(
            f"'{model.id}' has room for {max(found.kv_tokens, 0)} tokens of key-value cache next to"
            f" {fixed}, but its context is {model.context_tokens} tokens; lower"
            f" max_model_len{' or max_loras' if found.adapters_gib else ''}, or give it more memory or GPUs."
        )
    fixed_gib = _fixed_cache_gib(model)
    room_gib = _room_gib(model)
    needed_gib = found.weights_gib + (found.adapters_gib or 0)
    if fixed_gib is not None and room_gib is not None and fixed_gib > room_gib - needed_gib:
        raise ConfigError(
            f"'{model.id}' needs {needed_gib:.1f} GiB for weights"
            f"{' and adapters' if found.adapters_gib else ''} and {fixed_gib:.1f} GiB for its cache, but has"
            f" {max(room_gib, 0):.1f} GiB for both; lower kv_cache_memory_bytes, or raise gpu_memory_utilization."
        )
