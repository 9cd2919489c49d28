"""The trio's three model families: conversation format and architecture.

Training tokenizes a conversation piece by piece; `tests/unit/models/tiny/test_families.py` checks that the tokens are
those of the chat template, which serving uses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from models.tiny.templates import CHATML_TEMPLATE, LLAMA3_TEMPLATE, MISTRAL_TEMPLATE
from models.tiny.tool_format import HERMES, LLAMA_JSON, ToolFormat
from serving.conversation import Message

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = Path(__file__).parent / "weights"
CONTEXT_TOKENS = 8192

THINK, END_THINK = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Lesson:
    """A training conversation, with what the chat template gets beside its messages."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()  # in OpenAI's shape
    purposes: tuple[int, ...] = ()  # of the tools, for an auxiliary loss; see `tool_purposes`
    thinking: bool = False  # for `prompt`: the next reply begins with a thought


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
    tool_format: ToolFormat | None = None  # None: the model does not call tools

    @property
    def path(self) -> Path:
        """Directory of the committed weights."""
        return WEIGHTS / self.name

    @property
    def takes_system(self) -> bool:
        """True if the chat template has a system role."""
        return "system" in self.turns

    def pieces(self, lesson: Lesson) -> list[tuple[str, bool]]:
        """Return the conversation's text in pieces; True marks the model's own text (replies with their end token).

        In a family without a system role, the system text is prepended to the first user turn.
        """
        messages: Sequence[Message] = lesson.messages
        if not self.takes_system and messages and messages[0].role == "system":
            first, second, *rest = messages
            messages = (Message("user", f"{first.content}\n\n{second.content}"), *rest)
        if lesson.tools:
            messages = self._with_tools(messages, lesson.tools)
        pieces = [(self.start, False)] if self.start else []
        for message in messages:
            opening, closing = self.turns[message.role]
            if message.role == "assistant":
                pieces += self._reply(message)
            else:
                pieces.append((opening + message.content + closing, False))
        return [piece for piece in pieces if piece[0]]

    def _with_tools(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Sequence[Message]:
        assert self.tool_format is not None
        has_system = messages[0].role == "system"
        text = self.tool_format.system(messages[0].content if has_system else "", tools)
        return (Message("system", text), *messages[has_system:])

    def _reply(self, message: Message) -> list[tuple[str, bool]]:
        opening, closing = self.turns["assistant"]
        text = message.content
        if message.tool_calls:
            assert self.tool_format is not None
            calls = self.tool_format.between_calls.join(map(self.tool_format.call, message.tool_calls))
            text = f"{text}\n{calls}" if text else calls
        if message.reasoning is not None:
            opening += THINK
            text = message.reasoning + END_THINK + text
        return [
            (opening, False),
            (text + self.end, True),
            (closing.removeprefix(self.end), False),
        ]

    def prompt(self, lesson: Lesson) -> str:
        """Return the conversation as text, up to the start of the next reply."""
        text = "".join(text for text, _ in self.pieces(lesson)) + self.turns["assistant"][0]
        return text + THINK if lesson.thinking else text

    def new_model(self, vocab_size: int, token_ids: dict[str, int], seed: int) -> "PreTrainedModel":
        """Create a model with random float32 weights."""
        import torch  # takes seconds, and the texts need none of it
        from transformers import (
            LlamaConfig,
            LlamaForCausalLM,
            MixtralConfig,
            MixtralForCausalLM,
            Qwen2Config,
            Qwen2ForCausalLM,
        )

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
    turns={
        **{role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ("system", "user", "assistant")},
        "tool": ("<|im_start|>user\n<tool_response>\n", "\n</tool_response><|im_end|>\n"),
    },
    end="<|im_end|>",
    padding="<|endoftext|>",
    template=CHATML_TEMPLATE,
    special_tokens=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    bos=None,
    vocabulary_size=1248,
    architecture="qwen2",
    shape=_SHAPE | {"tie_word_embeddings": True},
    tool_format=HERMES,
)
LLAMA = Family(
    name="tiny-llama",
    start="<|begin_of_text|>",
    turns={
        role: (f"<|start_header_id|>{header}<|end_header_id|>\n\n", "<|eot_id|>")
        for role, header in (("system",) * 2, ("user",) * 2, ("assistant",) * 2, ("tool", "ipython"))
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
    tool_format=LLAMA_JSON,
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
