"""Checkpoints: a directory with model and tokenizer that vLLM and transformers can load."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

PROPOSAL_TEMPERATURE = 0.7  # default of the trio's generation config; that of Qwen2.5


def save(path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write bf16 safetensors, configurations, tokenizer and chat template. Converts `model` to bf16 in place."""
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
    """Load model and tokenizer; the model in float32, for training and for evaluation without a server."""
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    return model, tokenizer
