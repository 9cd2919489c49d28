"""Raw prompts with the trio's tokenizers."""

from typing import Any

import pytest

from deployments.model.prompt_budget import PromptBudget, PromptTooLong
from deployments.model.raw_prompts import PromptCodec
from serving.errors import InvalidRequest
from serving.types import RawPrompt
from tests.support.trio import TOKENIZERS

CASES = [pytest.param(tokenizer, id=name) for name, tokenizer in TOKENIZERS.items()]


def codec(tokenizer: Any, size: int = 10**6) -> PromptCodec:
    return PromptCodec(tokenizer, "m", size)


@pytest.mark.parametrize("tokenizer", CASES)
def test_text_becomes_the_tokenizers_own_tokens(tokenizer: Any) -> None:
    text = f"What is 1 + 2?{tokenizer.eos_token}"
    ids = codec(tokenizer).encode(RawPrompt(text))
    assert ids == tuple(tokenizer.encode(text))
    assert ids.count(tokenizer.eos_token_id) == 1, "control tokens in a raw prompt are the caller's own"
    bare = codec(tokenizer).encode(RawPrompt(text, add_special_tokens=False))
    assert bare == tuple(tokenizer.encode(text, add_special_tokens=False))
    assert codec(tokenizer).decode(bare) == text


@pytest.mark.parametrize("tokenizer", CASES)
def test_token_ids_stay_and_have_texts(tokenizer: Any) -> None:
    ids = (5, tokenizer.eos_token_id, 7)
    prompt = RawPrompt(ids)
    assert codec(tokenizer).encode(prompt) == ids
    assert codec(tokenizer).text(prompt) == tokenizer.decode(list(ids), skip_special_tokens=False)
    assert codec(tokenizer).texts(ids) == tuple(tokenizer.convert_ids_to_tokens(list(ids)))


@pytest.mark.parametrize("size", [10, 10**6])
@pytest.mark.parametrize("tokenizer", CASES)
def test_ids_beyond_the_vocabulary_are_named(tokenizer: Any, size: int) -> None:
    """The model may know fewer ids than the tokenizer, or more."""
    known = min(size, len(tokenizer))
    codec(tokenizer, size).encode(RawPrompt((0, known - 1)))
    for wrong in (known, -1):
        with pytest.raises(InvalidRequest) as caught:
            codec(tokenizer, size).encode(RawPrompt((0, wrong, wrong), path="prompt[2]"))
        assert caught.value.param == "prompt[2][1]"
        sentence = f"Set 'prompt[2][1]' to a token id of 'm', 0 to {known - 1}, not {wrong}."
        assert str(caught.value) == sentence


def test_half_of_a_character_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="surrogate") as caught:
        codec(TOKENIZERS["tiny-qwen"]).encode(RawPrompt("a\ud800", path="prompt[1]"))
    assert caught.value.param == "prompt[1]"


def test_an_id_without_a_token_has_no_text() -> None:
    class Sparse:
        def __len__(self) -> int:
            return 9

        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            return [1] * len(text)

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str | None]:
            return [None if one == 3 else f"t{one}" for one in ids]

    assert codec(Sparse()).texts((1, 3)) == ("t1", "")


def test_a_tokenizer_that_does_not_treat_all_texts_alike_is_asked_itself() -> None:
    class Odd:
        def __len__(self) -> int:
            return 9

        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            return [1] * len(text) + ([2] * (len(text) % 3 + 1) if add_special_tokens else [])

    odd = codec(Odd())
    assert odd.encode(RawPrompt("four")) == (1, 1, 1, 1, 2, 2)
    assert odd.encode(RawPrompt("four", add_special_tokens=False)) == (1, 1, 1, 1)
    with pytest.raises(PromptTooLong):
        odd.encode(RawPrompt("four"), PromptBudget(5))
    with pytest.raises(PromptTooLong):
        odd.encode(RawPrompt((1,) * 6), PromptBudget(5))
