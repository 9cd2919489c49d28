"""Growth of the vocabulary and of the number of layers."""

import pytest
import torch

from models.tiny.families import LLAMA, QWEN, Family
from models.tiny.growth import deepened, grow
from tests.support.trio import TOKENIZERS


def test_a_grown_model_gives_old_tokens_the_same_logits() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    size = len(tokenizer)
    model = QWEN.new_model(size, tokenizer.get_vocab(), seed=3).eval()
    ids = torch.tensor([tokenizer.encode("What is 23 + 45?")])
    with torch.no_grad():
        before = model(ids).logits
        grow(model, size + 40, seed=1)
        after = model(ids).logits
    assert after.shape[-1] == model.config.vocab_size == size + 40
    torch.testing.assert_close(after[..., :size], before)
    assert 0.5 < float(after[..., size:].std() / before.std()) < 2
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_new_embeddings_depend_on_the_seed_alone() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    rows = []
    for seed in (1, 1, 2):
        model = QWEN.new_model(len(tokenizer), tokenizer.get_vocab(), seed=3)
        grow(model, len(tokenizer) + 4, seed=seed)
        rows.append(model.get_input_embeddings().weight[-4:].detach())
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


@pytest.mark.parametrize("family", [QWEN, LLAMA], ids=lambda family: family.name)
def test_a_deeper_model_begins_with_the_same_logits_and_learns_in_every_layer(family: Family) -> None:
    tokenizer = TOKENIZERS[family.name]
    model = family.new_model(len(tokenizer), tokenizer.get_vocab(), seed=3).eval()
    deeper = deepened(model, seed=1).eval()
    ids = torch.tensor([tokenizer.encode("What is 23 + 45?")])
    assert deeper.config.num_hidden_layers == model.config.num_hidden_layers + 2
    torch.testing.assert_close(deeper(ids).logits, model(ids).logits)
    deeper(ids, labels=ids).loss.backward()
    assert all(layer.mlp.down_proj.weight.grad.abs().sum() > 0 for layer in deeper.model.layers)
