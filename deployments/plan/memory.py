"""Memory arithmetic: what weights take, and how many tokens of key-value cache fit beside them."""

import json
from dataclasses import dataclass

from deployments.config import ModelShape, ModelSpec
from serving.errors import ConfigError

GIB = 2**30
GPU_OVERHEAD_GIB = 3.0  # per GPU: activations, CUDA graphs, NCCL
GPU_SHARE = 0.9  # vLLM's default of gpu_memory_utilization
CPU_KV_GIB = 4  # vLLM's default of VLLM_CPU_KVCACHE_SPACE


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of one replica. `None` where the profile does not say how large a GPU is."""

    weights_gib: float
    kv_bytes_per_token: float
    kv_gib: float | None

    @property
    def kv_tokens(self) -> int | None:
        """Tokens of all running requests together."""
        return None if self.kv_gib is None else int(self.kv_gib * GIB / self.kv_bytes_per_token)


def sizes(model: ModelSpec) -> Sizes:
    """Raises `ConfigError` where neither the profile nor a local config.json knows the model's shape."""
    shape = shape_of(model)
    weights_gib = shape.parameters * shape.weight_bits / 8 / GIB
    per_token = 2 * shape.layers * shape.kv_heads * shape.head_dim * shape.kv_bits / 8
    if model.accelerator == "cpu":
        return Sizes(weights_gib, per_token, float(model.env.get("VLLM_CPU_KVCACHE_SPACE", CPU_KV_GIB)))
    if model.gpu_memory_gib is None:
        return Sizes(weights_gib, per_token, None)
    share = float(model.engine_kwargs.get("gpu_memory_utilization", GPU_SHARE))
    room = model.gpus * (model.gpu_memory_gib * share - GPU_OVERHEAD_GIB) - weights_gib
    return Sizes(weights_gib, per_token, room)


def shape_of(model: ModelSpec) -> ModelShape:
    """The profile's word, or what lies beside local weights."""
    if model.shape is not None:
        return model.shape
    if model.path is None:
        raise ConfigError(f"The sizes of '{model.id}' are not known; give its 'shape', as its config.json has it.")
    config = json.loads((model.path / "config.json").read_text())
    heads = int(config["num_attention_heads"])
    parameters = sum(
        _elements(entry["shape"]) for file in model.path.glob("*.safetensors") for entry in _tensors(file.read_bytes())
    )
    return ModelShape(
        parameters=parameters,
        layers=config["num_hidden_layers"],
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
    )


def _tensors(raw: bytes) -> list[dict[str, list[int]]]:
    """The entries of a safetensors file's header: its length in 8 bytes, then JSON."""
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return [entry for name, entry in header.items() if name != "__metadata__"]


def _elements(shape: list[int]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def check_sizes(model: ModelSpec) -> None:
    """Raise `ConfigError` where the GPUs that the profile describes cannot hold the model and one whole context."""
    if model.shape is None and model.path is None:
        return
    found = sizes(model)
    if found.kv_tokens is not None and found.kv_tokens < model.context_tokens:
        raise ConfigError(
            f"'{model.id}' has room for {max(found.kv_tokens, 0)} tokens of cache beside {found.weights_gib:.1f} GiB of"
            f" weights, but its context is {model.context_tokens}; lower max_model_len, or give it more memory or GPUs."
        )
