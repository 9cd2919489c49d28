from pathlib import Path

import pytest

from loadtest.bench.weights import untrained


def test_untrained_models_write_what_is_as_many_tokens_to_every_reader(tmp_path: Path) -> None:
    """A proposal of 512 tokens was 1,500 to the aggregator, in other words a different benchmark."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    profile, _ = untrained("tiny", tmp_path)
    tokenizers = {model.id: AutoTokenizer.from_pretrained(str(model.path)) for model in profile.models}
    torch.manual_seed(1)
    for spec in profile.models:
        model = AutoModelForCausalLM.from_pretrained(str(spec.path), dtype=torch.float32).eval()
        prompt = torch.tensor([tokenizers[spec.id].encode("What is the capital of France?")])
        length = 48
        ids = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=True, temperature=0.7, eos_token_id=None,
            pad_token_id=0, min_new_tokens=length, max_new_tokens=length,
        )[0][prompt.shape[1] :]  # fmt: skip
        text = tokenizers[spec.id].decode(ids)
        assert len(set(text.split())) > 8
        assert {len(other.encode(text, add_special_tokens=False)) for other in tokenizers.values()} == {length}
