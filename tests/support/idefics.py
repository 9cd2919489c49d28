"""A tiny Idefics3 with random weights, written on the spot: a vision tower, a language model, a real image processor.

vLLM's code of it needs no torchvision, which the pinned environment for CPUs leaves out.
"""

from pathlib import Path
from typing import Any

from transformers import (
    AutoTokenizer,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlamaConfig,
)

from tests.support.paths import ROOT
from tests.support.seeing_model import TEMPLATE

CONTROL = ["<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>"]
TILES = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]


def write_idefics(folder: Path) -> None:
    """Write weights, tokenizer and processor into `folder`."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / "tiny-qwen")
    tokenizer.add_special_tokens({"additional_special_tokens": [*CONTROL, *TILES]})
    tokenizer.chat_template = TEMPLATE
    common: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text = LlamaConfig(
        **common,
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=2048,
        pad_token_id=0,
    )
    config = Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        text_config=text,
        vision_config={**common, "num_attention_heads": 2, "image_size": 56, "patch_size": 14},
    )
    Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    pictures = Idefics3ImageProcessorPil(
        size={"longest_edge": 112}, max_image_size={"longest_edge": 56}, do_image_splitting=True
    )
    processor = Idefics3Processor(
        image_processor=pictures, tokenizer=tokenizer, image_seq_len=4, chat_template=TEMPLATE
    )
    processor.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
