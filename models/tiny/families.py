"""The trio's three model families: conversation format and architecture.

Training tokenizes a conversation piece by piece; `tests/unit/models/tiny/test_families.py` checks that the tokens are
those of the chat template, which serving uses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from models.tiny.templates import CHATML_TEMPLATE, LLAMA3_TEMPLATE, MISTRAL_TEMPLATE
from serving.types import Message

WEIGHTS = Path(__file__).parent / "weights"
CONTEXT_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Family:
    """One model of the trio. `turns` maps a role to the texts before and after its content; a reply ends with `end`."""

    name: str
    start: str  # text before the first turn
    turns: dict[str, tuple[str, str]]
    end: str  # the token that ends a reply
    padding: str
    template: str
    special_tokens: tuple[str, ...]
    bos: str | None
    vocabulary_size: int
    architecture: Literal["qwen2", "llama", "mixtral"]
    shape: dict[str, Any]
    tags: tuple[str, ...] = ()  # of thoughts and tool calls; empty: the chat template has no tools

    @property
    def path(self) -> Path:
        """Directory of the committed weights."""
        return WEIGHTS / self.name

    @property
    def takes_system(self) -> bool:
        """True if the chat template has a system role."""
        return "system" in self.turns

    def pieces(self, messages: Sequence[Message]) -> list[tuple[str, bool]]:
        """Return the conversation's text in pieces; True marks the model's own text (replies with their end token).

        In a family without a system role, the system text is prepended to the first user turn.
        """
        if not self.takes_system and messages and messages[0].role == "system":
            first, second, *rest = messages
            messages = (Message("user", f"{first.content}\n\n{second.content}"), *rest)
        pieces = [(self.start, False)] if self.start else []
        for message in messages:
            opening, closing = self.turns[message.role]
            if message.role == "assistant":
                pieces += [
                    (opening, False),
                    (message.content + self.end, True),
                    (closing.removeprefix(self.end), False),
                ]
            else:
                pieces.append((opening + message.content + closing, False))
        return [piece for piece in pieces if piece[0]]

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the conversation as text, up to the start of the next reply."""
        return "".join(text for text, _ in self.pieces(messages)) + self.turns["assistant"][0]

    def new_model(self, vocab_size: int, token_ids: dict[str, int], seed: int) -> PreTrainedModel:
        """Create a model with random float32 weights."""
        torch.manual_seed(seed)
        shared = {
            "vocab_size": vocab_size,
            "max_position_embeddings": CONTEXT_TOKENS,
            "bos_token_id": token_ids[self.bos] if self.bos else None,
            "eos_token_id": token_ids[self.end],
            "pad_token_id": token_ids[self.padding],
            **self.shape,
        }
        if self.architecture == "qwen2":
            return Qwen2ForCausalLM(Qwen2Config(**shared))
        if self.architecture == "llama":
            return LlamaForCausalLM(LlamaConfig(**shared))
        return MixtralForCausalLM(MixtralConfig(**shared, num_local_experts=4, num_experts_per_tok=2))


_SHAPE = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,  # of 32 dimensions, the minimum of vLLM's CPU attention
    "num_key_value_heads": 2,
    "intermediate_size": 256,
    "initializer_range": 0.05,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
}

QWEN = Family(
    name="tiny-qwen",
    start="",
    turns={role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ("system", "user", "assistant")},
    end="<|im_end|>",
    padding="<|endoftext|>",
    template=CHATML_TEMPLATE,
    special_tokens=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    bos=None,
    vocabulary_size=1248,
    architecture="qwen2",
    shape=_SHAPE | {"tie_word_embeddings": True},
    tags=("<think>", "</think>", "<tool_call>", "</tool_call>"),
)
LLAMA = Family(
    name="tiny-llama",
    start="<|begin_of_text|>",
    turns={
        role: (f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>")
        for role in ("system", "user", "assistant")
    },
    end="<|eot_id|>",
    padding="<|finetune_right_pad_id|>",
    template=LLAMA3_TEMPLATE,
    special_tokens=(
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|finetune_right_pad_id|>",
    ),
    bos="<|begin_of_text|>",
    vocabulary_size=1184,
    architecture="llama",
    shape=_SHAPE | {"tie_word_embeddings": True},
    tags=("<|python_tag|>",),
)
MIXTRAL = Family(
    name="tiny-mixtral",
    start="<s>",
    turns={"user": ("[INST]", "[/INST]"), "assistant": ("", "</s>")},
    end="</s>",
    padding="<unk>",
    template=MISTRAL_TEMPLATE,
    special_tokens=("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
    bos="<s>",
    vocabulary_size=1312,
    architecture="mixtral",
    shape=_SHAPE | {"intermediate_size": 128, "tie_word_embeddings": False, "sliding_window": None},
)
FAMILIES = {family.name: family for family in (QWEN, LLAMA, MIXTRAL)}
