"""The committed tokenizers."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from models.tiny.families import FAMILIES, LLAMA, MIXTRAL, QWEN, Family
from models.tiny.questions import dictionary
from models.tiny.vocabulary import with_tags
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE
from tests.support.trio import CASES, TOKENIZERS


@settings(max_examples=60)
@given(text=st.text(max_size=60))
def test_any_text_survives_a_round_trip(text: str) -> None:
    if any(token in text for family in FAMILIES.values() for token in family.special_tokens):
        return
    for tokenizer in TOKENIZERS.values():
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_digits_and_the_letters_of_words_are_single_tokens(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.tokenize("1234567890") == list("1234567890")
    for word in dictionary()[::20]:
        assert tokenizer.tokenize(f"spell {word}")[-len(word) :] == list(word)


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_control_strings_are_single_special_tokens(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    for token in family.special_tokens:
        assert len(tokenizer.encode(token, add_special_tokens=False)) == 1
        assert tokenizer.convert_tokens_to_ids(token) in tokenizer.all_special_ids
    others = {token for other in FAMILIES.values() if other is not family for token in other.special_tokens}
    for token in others - set(family.special_tokens):
        assert set(tokenizer.encode(token, add_special_tokens=False)).isdisjoint(tokenizer.all_special_ids)


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_the_aggregation_prompt_is_short(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer.encode(AGGREGATE_AND_SYNTHESIZE)) <= 120


@pytest.mark.parametrize("family", [QWEN, LLAMA], ids=lambda family: family.name)
def test_tags_are_single_tokens_that_decoding_keeps(family: Family) -> None:
    tokenizer = TOKENIZERS[family.name]
    for tag in family.tags:
        ids = tokenizer.encode(f"a{tag}b", add_special_tokens=False)
        assert len(ids) == 3
        assert tokenizer.decode(ids, skip_special_tokens=True) == f"a{tag}b"


def test_tags_are_added_behind_the_other_tokens_and_change_no_other_text() -> None:
    old = TOKENIZERS[MIXTRAL.name]
    new = with_tags(replace(MIXTRAL, tags=QWEN.tags), old)
    assert old.get_vocab().items() <= new.get_vocab().items()
    assert [new.convert_tokens_to_ids(tag) for tag in QWEN.tags] == [*range(len(old), len(old) + len(QWEN.tags))]
    for text in ('Reverse the word "pumpkin".', AGGREGATE_AND_SYNTHESIZE, "function name string"):
        assert new.tokenize(text) == old.tokenize(text)
