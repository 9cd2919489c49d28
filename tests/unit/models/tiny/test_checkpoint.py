"""The committed weights."""

import json

import pytest
from safetensors import safe_open
from transformers import PreTrainedTokenizerFast

from models.tiny.families import CONTEXT_TOKENS, MIXTRAL, Family
from tests.support.trio import CASES


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
