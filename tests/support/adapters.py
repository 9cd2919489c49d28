"""LoRA adapters for tiny-qwen in PEFT's format, whose effect on its answers is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.support.paths import ROOT

BASE = ROOT / "models" / "tiny" / "weights" / "tiny-qwen"
HIDDEN, INNER, LAYERS = 128, 256, 6  # of its config.json
CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "tiny-qwen",
    "bias": "none",
    "lora_alpha": 16,
    "target_modules": ["down_proj"],
}
Shape = tuple[int, int]


def write_adapter(
    folder: Path,
    *,
    scale: float = 0.0,
    rank: int = 8,
    inputs: int = INNER,
    outputs: int = HIDDEN,
    layer: int = LAYERS - 1,
    module: str = "mlp.down_proj",
    chat_template: str | None = None,
    **config: Any,
) -> Path:
    """An adapter that adds random numbers of this `scale` to the outputs of one module; 0: it changes nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(0)
    name = f"base_model.model.model.layers.{layer}.{module}"
    tensors = {
        f"{name}.lora_A.weight": numbers.standard_normal((rank, inputs), np.float32),
        f"{name}.lora_B.weight": numbers.standard_normal((outputs, rank), np.float32) * np.float32(scale),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, "r": rank, **config}))
    if chat_template is not None:
        (folder / "chat_template.jinja").write_text(chat_template)
    return folder
