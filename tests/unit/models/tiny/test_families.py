"""Conversations as text: each family's pieces against its chat template."""

import pytest
from transformers import PreTrainedTokenizerFast

from models.tiny.conversations import SYSTEM_PROMPTS
from models.tiny.families import MIXTRAL, Family
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references
from serving.types import Message, Reference, ReferenceBlock
from tests.support.trio import CASES, TOKENIZERS

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
        with_references(CHAT, ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE, "references_last")),
        *(
            with_references((Message("system", text), *CHAT), ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE))
            for text in SYSTEM_PROMPTS[:2]
        ),
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


def test_only_mixtral_refuses_a_system_role() -> None:
    conversation = (Message("system", "Be brief."), *CHAT)
    for name, tokenizer in TOKENIZERS.items():
        if name == MIXTRAL.name:
            with pytest.raises(Exception, match=r"Only user and assistant roles|must alternate"):
                _rendered(tokenizer, conversation)
        else:
            assert "brief" in tokenizer.decode(_rendered(tokenizer, conversation))
