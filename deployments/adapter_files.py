"""Files of a LoRA adapter in PEFT's format: what they say, and what vLLM cannot serve of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from deployments.adapter_spec import RANKS, AdapterSpec
from serving.errors import ConfigError
from serving.failures import said

CONFIG, WEIGHTS, TEMPLATE = "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
# Settings of PEFT that vLLM refuses or does not read, with what they mean: without them the adapter is another one.
UNSERVED: Mapping[str, str] = {
    "use_dora": "weights of DoRA",
    "modules_to_save": "whole modules beside its LoRA weights",
    "rank_pattern": "modules of other ranks",
    "alpha_pattern": "modules of other scales",
    "lora_bias": "biases",
    "trainable_token_indices": "tokens of its own",
    "layer_replication": "copies of layers",
}


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """An adapter as its files describe it. `shapes`: of its tensors, by name."""

    folder: Path
    rank: int
    trained_on: str
    shapes: Mapping[str, tuple[int, ...]]
    chat_template: str | None


def read_adapter(adapter: AdapterSpec, folder: Path, where: str = "") -> AdapterFiles:
    """Read and check an adapter's files.

    Args:
        adapter: The adapter.
        folder: Its files on this machine.
        where: Place for the sentences, with a space before it, such as " on node a".

    Raises:
        ConfigError: the folder or a file is missing, it is no LoRA adapter, or vLLM cannot serve it.
    """
    name = f"The adapter '{adapter.id}'"
    if not folder.is_dir():
        raise ConfigError(
            f"The folder '{adapter.source}' with the adapter '{adapter.id}' does not exist{where}; correct its source."
        )
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise ConfigError(
                f"{name} has no {file} in '{adapter.source}'{where}; set its source to a folder that PEFT's"
                " save_pretrained has written."
            )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        rank, kind = config["r"], str(config.get("peft_type", "LORA"))
        if not isinstance(rank, int) or not {"lora_alpha", "target_modules"} <= config.keys():
            raise KeyError
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ConfigError(
            f"{name} has a {CONFIG} without r, lora_alpha and target_modules; correct it, or save the adapter again"
            " with PEFT."
        ) from None
    if kind != "LORA":
        raise ConfigError(f"{name} is of PEFT's type {kind}; only LORA is served: merge it into the model's weights.")
    if not 1 <= rank <= RANKS[-1]:
        raise ConfigError(f"{name} has the rank {rank}, but vLLM serves ranks from 1 to {RANKS[-1]}; train it again.")
    unserved = [meaning for field, meaning in UNSERVED.items() if config.get(field)]
    unserved += ["biases"] if config.get("bias", "none") != "none" else []
    if unserved:
        raise ConfigError(f"{name} has {unserved[0]}, which vLLM does not serve; merge it into the model's weights.")
    return AdapterFiles(
        folder,
        rank,
        str(config.get("base_model_name_or_path") or ""),
        _shapes(adapter, folder / WEIGHTS),
        _own_template(adapter, folder),
    )


def _shapes(adapter: AdapterSpec, path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.offset_keys()}
    except SafetensorError as error:
        raise ConfigError(
            f"The adapter '{adapter.id}' has a {WEIGHTS} that cannot be read ({said(error)}); copy it again."
        ) from None
    if not found:
        raise ConfigError(f"The adapter '{adapter.id}' has no tensors in its {WEIGHTS}; save it again with PEFT.")
    return found


def _own_template(adapter: AdapterSpec, folder: Path) -> str | None:
    """Chat template in the adapter's folder, where trainers save the tokenizer. None: there is none, or not wanted."""
    if adapter.chat_template == "base":
        return None
    if (path := folder / TEMPLATE).is_file():
        return path.read_text(encoding="utf-8")
    if not (path := folder / TOKENIZER_CONFIG).is_file():
        return None
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        if isinstance(found, list):  # several templates with names
            found = {one["name"]: one["template"] for one in found}.get("default")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise ConfigError(
            f"The adapter '{adapter.id}' has a {TOKENIZER_CONFIG} whose chat_template cannot be read; correct it, or"
            " set chat_template: base."
        ) from None
    return found if isinstance(found, str) else None
