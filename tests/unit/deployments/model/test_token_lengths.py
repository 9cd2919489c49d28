"""The least number of tokens of a text, from the vocabulary."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, ByT5Tokenizer, PreTrainedTokenizerFast

from deployments.model.token_lengths import TokenLengths, token_lengths
from tests.support.paths import ROOT

WEIGHTS = ROOT / "models" / "tiny" / "weights"
BYTES = {f"<0x{value:02X}>": value for value in range(256)}


def of(model: Any, normalizer: Any = None, splitter: Any = None, *added: AddedToken) -> TokenLengths | None:
    backend = Tokenizer(model)
    if normalizer is not None:
        backend.normalizer = normalizer
    if splitter is not None:
        backend.pre_tokenizer = splitter
    backend.add_tokens(list(added))
    return token_lengths(PreTrainedTokenizerFast(tokenizer_object=backend))


def bpe(*words: str, **options: Any) -> Any:
    letters = sorted({letter for word in words for letter in word})
    vocabulary = {token: number for number, token in enumerate([*BYTES, *letters, *words])}
    return models.BPE(vocabulary, [], byte_fallback=True, **options)


def test_a_character_counts_by_the_longest_token_that_has_it() -> None:
    found = of(bpe("aaaa", "ab", "▁▁▁▁▁▁▁▁"), normalizers.Replace(" ", "▁"))
    assert found is not None
    assert found.at_least("a" * 40) == 9  # rounded down, whatever the arithmetic: 10 or 9
    assert found.at_least("b" * 40) in (19, 20)
    assert found.at_least(" " * 80) in (9, 10)
    assert found.at_least("日") == 0 or found.at_least("日本") in (1, 2)
    assert found.splits_at_blanks


def test_a_token_across_a_blank_is_noticed() -> None:
    found = of(bpe("of▁the"), normalizers.Replace(" ", "▁"))
    assert found is not None
    assert not found.splits_at_blanks


def test_white_space_beside_a_greedy_token_does_not_count() -> None:
    found = of(bpe("ab"), None, None, AddedToken("<m>", lstrip=True))
    assert found is not None
    assert found.at_least(" \n\u3000" * 100) == 0
    assert found.at_least("ab" * 100) > 90


@pytest.mark.parametrize(
    ("model", "normalizer", "splitter"),
    [
        (models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"), None, None),
        (models.WordLevel({"?": 0}, unk_token="?"), None, None),
        (models.Unigram([("<unk>", 0.0)], 0), None, None),
        (models.BPE({"a": 0}, [], unk_token="a", fuse_unk=True), None, None),
        (models.BPE({"a": 0}, []), None, pre_tokenizers.ByteLevel()),
        (bpe("ab", dropout=0.1), None, None),
        (bpe("ab"), normalizers.Strip(), None),
        (bpe("ab"), normalizers.Replace(" ", ""), None),
        (bpe("ab"), None, pre_tokenizers.Whitespace()),
        (bpe("ab"), None, pre_tokenizers.Split(" ", "removed")),
    ],
)
def test_a_tokenizer_with_tokens_of_any_length_has_no_bound(model: Any, normalizer: Any, splitter: Any) -> None:
    assert of(model, normalizer, splitter) is None


def test_a_slow_tokenizer_has_no_bound() -> None:
    assert token_lengths(ByT5Tokenizer(extra_ids=0)) is None


@pytest.mark.parametrize("model", ["tiny-qwen", "tiny-llama", "tiny-mixtral"])
@given(
    text=st.text(max_size=80)
    | st.text(alphabet="e\u0301\u0323a\u1112\u1161\u11ab가 \nÅ\u212bx<>", max_size=80)
    | st.sampled_from([" ", "-", "the ", "e", "\n"]).map(lambda one: one * 300)
)
def test_no_text_has_fewer_tokens(model: str, text: str) -> None:
    found = known(model)
    assert found.at_least(text) <= len(tokenizer(model).encode(text, add_special_tokens=False))


_KNOWN: dict[str, tuple[Any, TokenLengths]] = {}


def tokenizer(model: str) -> Any:
    if model not in _KNOWN:
        loaded = AutoTokenizer.from_pretrained(WEIGHTS / model)
        found = token_lengths(loaded)
        assert found is not None
        _KNOWN[model] = loaded, found
    return _KNOWN[model][0]


def known(model: str) -> TokenLengths:
    tokenizer(model)
    return _KNOWN[model][1]


def test_composed_characters_may_have_been_two() -> None:
    found = of(bpe("éééééééé"), normalizers.NFC())
    assert found is not None
    assert found.at_least("e\u0301" * 80) <= 10
    assert found.at_least("é" * 80) <= 10
