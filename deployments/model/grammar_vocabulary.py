"""A model's vocabulary as xgrammar reads it."""

from typing import Any

from vllm.utils.mistral import is_mistral_tokenizer
from xgrammar import TokenizerInfo, VocabType


def vocabulary_json(tokenizer: Any, vocabulary_size: int) -> str:
    """The vocabulary that vLLM's engine uses for grammars, as JSON of `TokenizerInfo`."""
    if not is_mistral_tokenizer(tokenizer):
        return str(TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary_size).serialize_json())
    info = TokenizerInfo(
        encoded_vocab=tokenizer.vocab,
        vocab_type=VocabType.RAW if tokenizer.is_tekken else VocabType.BYTE_FALLBACK,
        vocab_size=len(tokenizer.vocab),
        stop_token_ids=[tokenizer.eos_token_id],
        add_prefix_space=True,
    )
    return str(info.serialize_json())
