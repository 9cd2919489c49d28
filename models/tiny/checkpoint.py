"""A trained model with its tokenizer, as vLLM and transformers load it from a directory."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

PROPOSAL_TEMPERATURE = 0.7  # how the trio answers where the caller does not say; as Qwen2.5's own default


def save(path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write bf16 safetensors, the configurations, the tokenizer and its chat template. `model` becomes bf16."""
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
        do_sample=True,
        temperature=PROPOSAL_TEMPERATURE,
    )
    model.bfloat16().save_pretrained(path)
    tokenizer.save_pretrained(path)


def load(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model in float32, for training and for measuring without a server."""
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    return model, tokenizer
