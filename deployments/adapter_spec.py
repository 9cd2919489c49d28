"""LoRA adapters of a model: weights that change it, each served as a model of its own by the same replicas."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from deployments.model_identity import ModelId, TokenPrice
from deployments.weights_source import Source, WeightsSource
from serving.cards import Task
from serving.config import Frozen

Accelerator = Literal["cpu", "gpu"]
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # values of vLLM's max_lora_rank
MAX_LORAS = 8  # default for the adapters of one batch: each takes memory of the GPUs
# Options that the adapters set, or that vLLM cannot combine with them.
SET_BY_ADAPTERS = ("enable_lora", "default_mm_loras")


class AdapterSpec(WeightsSource, Frozen):
    """A LoRA adapter in PEFT's format, served as a model id of its own."""

    id: ModelId
    source: Source = Field(
        min_length=1,
        description="Adapter: a folder with adapter_config.json and adapter_model.safetensors (relative to the"
        " repository's root), a Hugging Face id, or an s3:// or gs:// URL.",
    )
    description: str = Field(default="", description="One line for people.")
    chat_template: Literal["own", "base"] = Field(
        default="own",
        description="Chat template of its prompts: `own`, that of the adapter's folder if it has one, or `base`, the"
        " model's.",
    )
    usd_per_million_tokens: TokenPrice | None = Field(
        default=None, description="Price of the adapter's tokens. None: the model's."
    )


def lora_problem(
    model: str, adapters: Sequence[AdapterSpec], options: Mapping[str, Any], task: Task, accelerator: Accelerator
) -> str | None:
    """Sentence for the first setting that does not fit the adapters; None if all fit.

    Args:
        model: id of the model.
        adapters: its adapters.
        options: its `engine_kwargs`, typed.
        task: its task.
        accelerator: hardware that its engine runs on.
    """
    if given := [name for name in SET_BY_ADAPTERS if name in options]:
        return f"remove {given[0]} of model '{model}' from engine_kwargs; list its LoRA adapters in `adapters`"
    if not adapters:
        unused = [name for name in ("max_loras", "max_cpu_loras", "max_lora_rank") if name in options]
        return f"remove {unused[0]} of model '{model}' from engine_kwargs; it has no `adapters`" if unused else None
    if task != "generate":
        return f"remove adapters of model '{model}'; only models that generate text can have them, not task: {task}"
    if (rank := options.get("max_lora_rank")) is not None and rank not in RANKS:
        return f"set max_lora_rank of model '{model}' to one of {', '.join(map(str, RANKS))}, not {rank}"
    batch = max_loras(adapters, options, accelerator)
    if accelerator == "cpu" and batch <= len(adapters):
        return (
            f"set max_loras of model '{model}' to at least {len(adapters) + 1}: on the CPU one place must stay free for"
            " requests without an adapter"
        )
    held = options.get("max_cpu_loras")
    if held is not None and held < (most := max(len(adapters), batch)):
        return f"set max_cpu_loras of model '{model}' to at least {most}, so that all its adapters stay in memory"
    return None


def max_loras(adapters: Sequence[AdapterSpec], options: Mapping[str, Any], accelerator: Accelerator) -> int:
    """Adapters of one batch: vLLM's `max_loras` if it is given, else all, up to `MAX_LORAS`; on the CPU one more.

    In a batch with adapters, vLLM's kernels for CPUs (`vllm.lora.ops.torch_ops`) read the last place, -1, for the
    tokens of requests without one. A place that no adapter ever has is zero.
    """
    own = len(adapters) + 1 if accelerator == "cpu" else min(len(adapters), MAX_LORAS)
    return int(options.get("max_loras", own))


def lora_options(
    adapters: Sequence[AdapterSpec], options: Mapping[str, Any], accelerator: Accelerator
) -> dict[str, Any]:
    """VLLM's options of LoRA that are not in `options`, without `max_lora_rank`; none without adapters."""
    if not adapters:
        return {}
    batch = max_loras(adapters, options, accelerator)
    computed = {"enable_lora": True, "max_loras": batch, "max_cpu_loras": max(len(adapters), batch)}
    return {name: value for name, value in computed.items() if name not in options}


def needed_rank(ranks: Sequence[int]) -> int:
    """Smallest `max_lora_rank` that holds adapters of these `ranks`, none of which is above the last of `RANKS`."""
    return min(rank for rank in RANKS if rank >= max(ranks))
