"""Batches: taught tokens, and the shared prefix."""

import pytest
import torch

from models.tiny import batches
from models.tiny.batches import batch_of, loss_of
from models.tiny.families import FAMILIES, QWEN, Family
from models.tiny.place_values import ABSENT
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references
from serving.types import Message, Reference, ReferenceBlock
from tests.support.trio import TOKENIZERS


def _aggregating(question: str, answer: str, *references: str) -> tuple[Message, ...]:
    proposals = tuple(Reference("model", text) for text in references)
    return (
        *with_references((Message("user", question),), ReferenceBlock(tuple(proposals), AGGREGATE_AND_SYNTHESIZE)),
        Message("assistant", answer),
    )


CONVERSATIONS = [
    _aggregating("What is 23 + 45?", "68", "68", "67"),
    _aggregating("Spell lamp backwards.", "pmal", "lamp", "pmal", "pml"),
    _aggregating("Name the capital of Peru.", "Lima", "Quito"),
]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_shared_prefix_changes_no_loss(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BALANCE_WEIGHT", 0.0)  # the router's balance is taken over fewer tokens
    tokenizer = TOKENIZERS[family.name]
    model = family.new_model(len(tokenizer), tokenizer.get_vocab(), seed=3).eval()
    shared = batch_of(family, tokenizer, CONVERSATIONS)
    assert shared.prefix.shape[1] > 100
    monkeypatch.setattr(batches, "SHORTEST_SHARED", 10_000)
    whole = batch_of(family, tokenizer, CONVERSATIONS)
    assert whole.prefix.shape[1] == 0
    with torch.no_grad():
        torch.testing.assert_close(loss_of(model, shared), loss_of(model, whole), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_only_replies_are_taught(family: Family) -> None:
    tokenizer = TOKENIZERS[family.name]
    batch = batch_of(family, tokenizer, CONVERSATIONS)
    assert tokenizer.decode(batch.targets) == "".join(f"{each[-1].content}{family.end}" for each in CONVERSATIONS)
    assert int(batch.taught.sum()) == len(batch.targets)


def test_the_gradient_reaches_the_model_through_the_shared_prefix() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    model = QWEN.new_model(len(tokenizer), tokenizer.get_vocab(), seed=3)
    loss_of(model, batch_of(QWEN, tokenizer, CONVERSATIONS)).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_sums_are_read_just_before_their_replies() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    batch = batch_of(QWEN, tokenizer, CONVERSATIONS)
    rows, positions = batch.read_at
    assert rows.tolist() == [0]
    first = int(batch.rest[0, positions[0] + batches.TOKENS_AHEAD])
    assert tokenizer.decode([first]) == "6"
    assert batch.places[0, 2].tolist() == [8, 6, ABSENT, ABSENT]
