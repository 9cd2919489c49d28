"""Check that a LoRA adapter was trained on the model that it is served on, by the shapes of its tensors.

vLLM itself refuses modules that the model does not have, but copies a tensor that is too small into the place of a
larger one, and ignores layers beyond the model's last.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from deployments.adapter_files import AdapterFiles
from deployments.adapter_spec import AdapterSpec
from serving.errors import ConfigError

LORA = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])(\.[^.]+)?\.weight$")
LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
VISION = re.compile(r"(^|\.)(visual|vision|audio|mm_|multi_modal)")  # towers have sizes of their own
# Modules whose inputs, or outputs, are the hidden states in every architecture that names them so.
FROM_HIDDEN = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
TO_HIDDEN = ("o_proj", "down_proj")
FLOATS = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"})  # types of one stored number per value
Shapes = Mapping[str, tuple[int, ...]]


def check_fit(adapter: AdapterSpec, files: AdapterFiles, model: str, config: Mapping[str, Any], base: Shapes) -> None:
    """Check that the adapter's tensors have places in the model.

    Args:
        adapter: The adapter.
        files: Its files.
        model: id of the model.
        config: Of the model's config.json: `hidden_size` and `num_hidden_layers`, where they are known.
        base: Shapes of the model's own weights by name, where they are known.

    Raises:
        ConfigError: a tensor belongs to another model, with both sizes.
    """
    trained = f" (adapter_config.json: trained on '{files.trained_on}')" if files.trained_on else ""
    advice = f"; set its source to an adapter of this model, or move it to the model that it was trained on{trained}."
    layers, hidden = config.get("num_hidden_layers"), config.get("hidden_size")
    for name, shape in files.shapes.items():
        found = LORA.match(name)
        if found is None or len(shape) != 2:
            continue  # vLLM refuses what it does not know
        module, part = found["module"], found["part"]
        side = "inputs" if part == "A" else "outputs"
        size = shape[1] if part == "A" else shape[0]
        layer = LAYER.search(module)
        if layer is not None and layers is not None and int(layer[1]) >= layers and not VISION.search(module):
            raise ConfigError(
                f"The adapter '{adapter.id}' has weights for layer {layer[1]}, but '{model}' has {layers}"
                f" layers{advice}"
            )
        wanted = _size(module, part, hidden, base)
        if wanted is not None and size != wanted:
            raise ConfigError(
                f"The adapter '{adapter.id}' has {size} {side} for '{module}', but '{model}' has {wanted}{advice}"
            )
        rank = shape[0] if part == "A" else shape[1]
        if rank != files.rank and "experts" not in module:
            raise ConfigError(
                f"The adapter '{adapter.id}' has rank {rank} at '{module}', but r is {files.rank} in its"
                " adapter_config.json; correct r, or save the adapter again with PEFT."
            )


def _size(module: str, part: str, hidden: Any, base: Shapes) -> int | None:
    """Inputs (A) or outputs (B) of a module of the model; None if they are unknown."""
    known = base.get(f"{module}.weight")
    if known is not None and len(known) == 2:
        return known[1] if part == "A" else known[0]
    last = module.rsplit(".", 1)[-1]
    if "experts" in module or VISION.search(module) or not isinstance(hidden, int):
        return None
    return hidden if last in (FROM_HIDDEN if part == "A" else TO_HIDDEN) else None


def model_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights in `folder` by name; those that are packed are left out."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            for name in file.offset_keys():
                tensor = file.get_slice(name)
                if tensor.get_dtype() in FLOATS:
                    shapes[name] = tuple(tensor.get_shape())
    return shapes


def model_config(folder: Path) -> dict[str, Any]:
    """The config.json in `folder`, that of the text part if the model has several; empty without one."""
    path = folder / "config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, dict) else config
