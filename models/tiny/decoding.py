"""Batched generation without a server, for training proposals and quick evaluation."""

from collections.abc import Sequence

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models.tiny.families import Family, Lesson

MAX_TOKENS = 24
BATCH = 256


@torch.inference_mode()
def replies(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    family: Family,
    lessons: Sequence[Lesson],
    *,
    temperature: float,
    seed: int = 0,
    position: int = 0,
    max_tokens: int = MAX_TOKENS,
) -> list[str]:
    """Generate one reply per lesson; `temperature` 0 is greedy. `position`: the progress bar's line."""
    torch.manual_seed(seed)
    prompts = tokenizer.backend_tokenizer.encode_batch([family.prompt(each) for each in lessons])
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number].ids))
    texts = [""] * len(prompts)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    for start in tqdm(range(0, len(order), BATCH), desc=f"{family.name:12} answers", leave=False, position=position):
        chosen = order[start : start + BATCH]
        longest = max(len(prompts[number].ids) for number in chosen)
        ids = torch.full((len(chosen), longest), tokenizer.pad_token_id)
        for row, number in enumerate(chosen):
            ids[row, longest - len(prompts[number].ids) :] = torch.tensor(prompts[number].ids)
        generated = model.generate(  # type: ignore[operator]
            ids, attention_mask=(ids != tokenizer.pad_token_id).long(), max_new_tokens=max_tokens, **sampling
        )
        decoded = tokenizer.batch_decode(generated[:, longest:], skip_special_tokens=True)
        for number, text in zip(chosen, decoded, strict=True):
            texts[number] = text
    return texts
