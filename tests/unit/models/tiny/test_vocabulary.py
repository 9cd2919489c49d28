"""The committed tokenizers."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from models.tiny.conversations import SYSTEM_PROMPTS
from models.tiny.families import FAMILIES, LLAMA, MIXTRAL, QWEN, Family
from models.tiny.questions import SKILLS, QuestionMaker, dictionary
from models.tiny.tool_format import HERMES
from models.tiny.vocabulary import extended
from serving.recipes.judging import CRITICISE
from serving.recipes.strategies.debate import REVISE
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
    for tag in family.tool_format.tags:
        ids = tokenizer.encode(f"a{tag}b", add_special_tokens=False)
        assert len(ids) == 3
        assert tokenizer.decode(ids, skip_special_tokens=True) == f"a{tag}b"


@pytest.mark.parametrize("family", [QWEN, LLAMA], ids=lambda family: family.name)
def test_a_tool_has_few_tokens(family: Family) -> None:
    assert family.tool_format is not None
    parameters = {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}
    function = {"name": "lookup", "description": "Looks up a topic.", "parameters": parameters}
    text = family.tool_format.system("", [{"type": "function", "function": function}])
    tokens = TOKENIZERS[family.name].tokenize(text)
    assert len(tokens) < 40  # of a byte each, it would have over 500
    assert "lookup" in tokens


@pytest.mark.parametrize("family", [QWEN, LLAMA], ids=lambda family: family.name)
def test_every_phrase_is_one_token_and_invented_names_are_letters(family: Family) -> None:
    assert family.tool_format is not None
    tokenizer = TOKENIZERS[family.name]
    for phrase in family.tool_format.phrases:
        assert len(tokenizer.tokenize(phrase)) == 1
    assert tokenizer.tokenize("Vorlan") == list("Vorlan")


def test_an_extended_vocabulary_keeps_the_old_ids() -> None:
    old = TOKENIZERS[MIXTRAL.name]
    new = extended(replace(MIXTRAL, tool_format=HERMES), old, ["quokka quokka quagga, lamp"])
    assert old.get_vocab().items() <= new.get_vocab().items()
    added = set(new.get_vocab()) - set(old.get_vocab())
    assert {*HERMES.tags, "quokka", "\u0120quagga", '"name":\u0120"'} <= added
    assert new.tokenize("Spell lamp") == old.tokenize("Spell lamp")


@pytest.mark.parametrize("family", [QWEN, LLAMA], ids=lambda family: family.name)
def test_ordinary_prompts_have_no_token_of_tools(family: Family) -> None:
    """The first stages' texts keep their tokens, so that the skills that were learned on them are kept."""
    assert family.tool_format is not None
    tokenizer = TOKENIZERS[family.name]
    vocabulary = tokenizer.get_vocab()
    of_tools = {token for token, number in vocabulary.items() if number >= vocabulary[family.tool_format.tags[0]]}
    maker = QuestionMaker(random.Random("another seed"))
    texts = [AGGREGATE_AND_SYNTHESIZE, *SYSTEM_PROMPTS, CRITICISE, REVISE]
    texts += [maker.ask(skill).text for _ in range(300) for skill in SKILLS]
    assert not {token for text in texts for token in tokenizer.tokenize(text)} & of_tools
