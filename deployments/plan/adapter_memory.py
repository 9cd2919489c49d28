"""Memory that vLLM keeps on the GPUs for LoRA adapters: two matrices for each linear layer and adapter."""

import math
from collections.abc import Mapping
from typing import Any

from deployments.adapter_spec import max_loras, needed_rank
from deployments.adapters import check_adapters, local_folders
from deployments.model_shape import ModelShape
from deployments.model_spec import ModelSpec
from serving.errors import ConfigError

# In a layer with attention and a gated feed-forward part, inputs plus outputs are at most about so many times the
# square root of its parameters: 5.2 in Llama 3.1 8B, 5.5 in Qwen2.5 72B.
WIDTH_PER_ROOT = 5.6
DTYPE_BYTES = {"float": 4, "float32": 4}
DEFAULT_DTYPE_BYTES = 2
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


def adapter_bytes(model: ModelSpec, shape: ModelShape) -> float:
    """Memory on all GPUs of a replica, 0 without adapters.

    Of the two matrices of a layer tensor parallelism splits one; with `fully_sharded_loras`, both.

    Raises:
        ConfigError: the rank of the adapters, or the width of a model with experts, is unknown.
    """
    if not model.adapters:
        return 0.0
    if (rank := batch_rank(model)) is None:
        raise ConfigError(
            f"Set engine_kwargs.max_lora_rank of '{model.id}' to the largest rank of its adapters: some of their files"
            " are not on this machine, so that their memory cannot be computed."
        )
    width = shape.linear_width
    if width is None:
        if shape.active_parameters is not None:
            raise ConfigError(
                f"Set shape.linear_width of '{model.id}' to the inputs plus outputs of all linear layers of one of its"
                " layers: with experts, the memory of its adapters cannot be estimated."
            )
        width = math.ceil(WIDTH_PER_ROOT * math.sqrt(shape.parameters / shape.layers))
    options = model.engine_kwargs
    size = DTYPE_BYTES.get(str(options.get("lora_dtype", options.get("dtype"))), DEFAULT_DTYPE_BYTES)
    workers = int(options.get("tensor_parallel_size", 1))
    copies = 1.0 if options.get("fully_sharded_loras") else (1 + workers) / 2
    slots = max_loras(model.adapters, options, model.accelerator)
    return copies * shape.layers * width * rank * slots * size


def batch_rank(model: ModelSpec) -> int | None:
    """VLLM's `max_lora_rank`: as given, or of the adapters' files. None: some of them are not on this machine."""
    given = model.engine_kwargs.get("max_lora_rank")
    if given is not None:
        return int(given)
    found = check_adapters(model, {name: path for name, path in local_folders(model).items() if path.is_dir()})
    if len(found) < len(model.adapters):
        return None
    return needed_rank([files.rank for files in found.values()])


def linear_width(config: Mapping[str, Any]) -> int | None:
    """Inputs plus outputs of the linear layers of one layer of a model with this config.json; None: unknown."""
    hidden, inner = config.get("hidden_size"), config.get("intermediate_size")
    heads = config.get("num_attention_heads")
    if hidden is None or inner is None or heads is None:
        return None
    size = config.get("head_dim") or hidden // heads
    values = (config.get("num_key_value_heads") or heads) * size
    experts = next((int(config[name]) for name in EXPERTS if config.get(name)), 1)
    if experts > 1:
        inner = config.get("moe_intermediate_size") or inner
    attention = 2 * (hidden + heads * size) + 2 * (hidden + values)
    return int(attention + 3 * experts * (hidden + inner))
