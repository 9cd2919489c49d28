"""vLLM's side of a model that reads images, without weights: its renderer, and the templates that such models have."""

from functools import cache
from types import SimpleNamespace
from typing import Any

from transformers import AutoTokenizer
from vllm.multimodal.inputs import PlaceholderRange

from tests.support.paths import ROOT

IMAGE_TOKENS = 16  # of each image
OPENING = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
# Reads parts, as the templates of most vision models do, and plain texts.
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>{% elif p['type'] == 'text' %}{{ p['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}" + OPENING
)
# Reads plain texts: the placeholder is part of the text.
TEXT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] + '<|im_end|>' }}\n{% endfor %}" + OPENING
)
# Reads parts alone, images first, as the templates of LLaVA do.
PARTS_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% for p in m['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for p in m['content'] | selectattr('type', 'equalto', 'text') %}{{ p['text'] }}{% endfor %}<|im_end|>\n"
    "{% endfor %}" + OPENING
)


@cache
def seeing_tokenizer() -> Any:
    """Tokenizer of the embedded tiny-qwen with the control token `<image>`."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / "tiny-qwen")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = TEMPLATE
    return tokenizer


class ScriptedRenderer:
    """In place of vLLM's renderer of a LLaVA: puts `IMAGE_TOKENS` tokens in place of each `<image>`.

    Like vLLM's, it looks for placeholders in the text if there are too few among the tokens, and encodes that again.
    """

    def __init__(self, max_images: int = 2) -> None:
        info = SimpleNamespace(allowed_mm_limits={"image": max_images})
        self.mm_processor = SimpleNamespace(info=info) if max_images else None
        self.model_config = None
        self.counted: list[bool] = []

    async def process_for_engine_async(
        self, prompt: Any, arrival_time: float, *, skip_mm_cache: bool = False
    ) -> dict[str, Any]:
        self.counted.append(skip_mm_cache)
        pictures, tokenizer = prompt["multi_modal_data"]["image"], seeing_tokenizer()
        for picture in pictures:
            width, height = picture.media.size
            if max(width, height) > 200 * min(width, height):
                raise ValueError("absolute aspect ratio must be smaller than 200")
        image_id = tokenizer.convert_tokens_to_ids("<image>")
        ids = prompt["prompt_token_ids"]
        if ids.count(image_id) < len(pictures):
            ids = tokenizer.encode(tokenizer.decode(ids), add_special_tokens=False)
        if ids.count(image_id) < len(pictures):
            raise RuntimeError("Expected there to be 1 prompt placeholders, but found 0")
        found: list[int] = []
        places: list[PlaceholderRange] = []
        for token in ids:
            if token == image_id:
                places.append(PlaceholderRange(offset=len(found), length=IMAGE_TOKENS))
            found += [token] * (IMAGE_TOKENS if token == image_id else 1)
        return {
            "type": "multimodal",
            "prompt_token_ids": found,
            "mm_hashes": prompt["multi_modal_uuids"],
            "mm_placeholders": {"image": places[: len(pictures)]},
        }
