"""Conversion of the GGUF file to a checkpoint that vLLM and transformers can load."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from models.smol.errors import CannotFetch

# Ids that chat template and engine rely on; a GGUF reader could lose them.
CONTROL_TOKENS = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
TEMPERATURE, TOP_P = 0.2, 0.9  # of the model card of SmolLM2-135M-Instruct


def convert(gguf: Path, folder: Path) -> None:
    """Write model, tokenizer and generation config of `gguf` into `folder`.

    The file's weights have 4 bits; they are dequantized to float32.

    Raises:
        CannotFetch: the tokenizer of the file lacks a control token or the chat template.
    """
    # transformers' Auto classes are typed for a few models only.
    tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    _check(tokenizer)
    # transformers does not read the file's `tokenizer.ggml.pre: smollm`: each digit is a piece of its own, then GPT-2's
    # pieces. Without it, spaces before digits become other tokens than in training.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # The values are dequantized, but transformers still takes the model for a quantized one and would not save it.
    model.hf_quantizer = None
    del model.config.quantization_config
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
        do_sample=True,
        temperature=TEMPERATURE,
        top_p=TOP_P,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check(tokenizer: Any) -> None:
    """Raise `CannotFetch` if the control tokens are not single special tokens, or there is no chat template."""
    for token, token_id in CONTROL_TOKENS.items():
        if tokenizer.encode(token) != [token_id] or token_id not in tokenizer.all_special_ids:
            raise CannotFetch(f"The tokenizer of the GGUF file lacks {token}; use the pinned version of gguf.")
    if not tokenizer.chat_template:
        raise CannotFetch("The GGUF file has no chat template; use the pinned version of gguf.")
