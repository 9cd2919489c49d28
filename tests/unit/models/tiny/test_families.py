"""Tokenizers, templates and weights as committed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from models.tiny.conversations import SYSTEM_PROMPTS
from models.tiny.families import CONTEXT_TOKENS, FAMILIES, MIXTRAL, Family
from models.tiny.questions import dictionary
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, Reference, with_references
from serving.types import Message

TOKENIZERS = {name: AutoTokenizer.from_pretrained(family.path) for name, family in FAMILIES.items()}
CASES = [pytest.param(family, TOKENIZERS[name], id=name) for name, family in FAMILIES.items()]
CHAT = (
    Message("user", "What is 23 + 45?"),
    Message("assistant", "68"),
    Message("user", "Spell 'lamp' backwards\n\nplease, été 日本"),
)


def _rendered(tokenizer: PreTrainedTokenizerFast, messages: tuple[Message, ...]) -> list[int]:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    ids: list[int] = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    return ids


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_training_pieces_are_the_template_s_tokens(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    references = (Reference("a", "68"), Reference("b", "two\nlines"), Reference("c", "Paris"))
    conversations = [
        CHAT,
        with_references(CHAT, references, layout="references_last"),
        *(with_references((Message("system", text), *CHAT), references) for text in SYSTEM_PROMPTS[:2]),
    ]
    for conversation in conversations:
        turns = conversation
        if not family.takes_system and turns[0].role == "system":
            turns = (Message("user", f"{turns[0].content}\n\n{turns[1].content}"), *turns[2:])
        pieces = [text for text, _ in family.pieces(conversation)] + [family.turns["assistant"][0]]
        apart = [token for piece in pieces if piece for token in tokenizer.encode(piece, add_special_tokens=False)]
        assert apart == _rendered(tokenizer, turns)
        assert tokenizer.encode(family.prompt(conversation), add_special_tokens=False) == apart


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_replies_end_with_the_end_token_and_are_marked(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    taught = [text for text, reply in family.pieces(CHAT) if reply]
    assert taught == ["68" + family.end]
    assert tokenizer.eos_token == family.end


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


def test_only_mixtral_refuses_a_system_role() -> None:
    conversation = (Message("system", "Be brief."), *CHAT)
    for name, tokenizer in TOKENIZERS.items():
        if name == MIXTRAL.name:
            with pytest.raises(Exception, match=r"Only user and assistant roles|must alternate"):
                _rendered(tokenizer, conversation)
        else:
            assert "brief" in tokenizer.decode(_rendered(tokenizer, conversation))


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_checkpoints_are_small_bf16_and_of_their_architecture(
    family: Family, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = json.loads((family.path / "config.json").read_text("utf-8"))
    assert config["model_type"] == family.architecture
    assert config["max_position_embeddings"] == CONTEXT_TOKENS
    assert config["vocab_size"] == len(tokenizer)
    assert config["eos_token_id"] == tokenizer.eos_token_id
    if family is MIXTRAL:
        assert (config["num_local_experts"], config["num_experts_per_tok"]) == (4, 2)
    weights = family.path / "model.safetensors"
    assert weights.stat().st_size <= 8_000_000
    with safe_open(weights, "pt") as file:
        slices = [file.get_slice(key) for key in file.keys()]  # noqa: SIM118 - not a mapping
    assert {one.get_dtype() for one in slices} == {"BF16"}
    parameters = 0
    for one in slices:
        size = 1
        for edge in one.get_shape():
            size *= edge
        parameters += size
    assert 500_000 < parameters <= 4_000_000
