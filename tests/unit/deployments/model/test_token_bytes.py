"""Bytes of tokens that are parts of characters, of both kinds of tokenizers; joined they are the answer's text."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from vllm.logprobs import Logprob

from deployments.model.token_bytes import TokenBytes
from deployments.model.token_logprobs import token_logprobs
from serving.api.dialects.chat_answers import logprobs_json
from tests.support.paths import ROOT

TEXTS = ["hello world", " two  blanks", "naïve café", "世界 🌍🏽", "a\n\tb", "<0x41>", "▁", ""]
KINDS = ["byte-level", "byte fallback"]


@cache
def tokenizer(kind: str) -> Any:
    if kind == "byte-level":
        return AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / "tiny-llama")
    return byte_fallback()


def byte_fallback() -> Any:
    """A tokenizer in the manner of Llama 2: a few letters are tokens, every other character its bytes."""
    letters = "▁abcdefghijklmnopqrstuvwxyz"
    vocabulary = {token: place for place, token in enumerate(["<unk>", "<s>", "</s>"])}
    for token in [f"<0x{byte:02X}>" for byte in range(256)] + list(letters) + ["▁w", "he", "ll"]:
        vocabulary[token] = len(vocabulary)
    merges = [("▁", "w"), ("h", "e"), ("l", "l")]
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    backend.add_tokens([AddedToken("<think>", special=False)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")


def joined(kind: str, text: str) -> bytes:
    ids = tokenizer(kind).encode(text, add_special_tokens=False)
    bytes_of = TokenBytes(tokenizer(kind)).of
    return b"".join(bytes_of(token, "\ufffd") for token in ids)  # what the engine decoded is not looked at


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_of_all_tokens_are_the_text(kind: str, text: str) -> None:
    # A byte-fallback tokenizer writes its own sign for a blank as a blank.
    assert joined(kind, text).decode() == (text.replace("▁", " ") if kind == "byte fallback" else text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁")), st.sampled_from(KINDS))
def test_the_bytes_of_any_text_are_its_own(text: str, kind: str) -> None:
    decoded = tokenizer(kind).decode(tokenizer(kind).encode(text, add_special_tokens=False))
    assert joined(kind, text).decode() == decoded


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_a_character_has_its_real_byte(kind: str) -> None:
    ids = tokenizer(kind).encode("é", add_special_tokens=False)
    assert [TokenBytes(tokenizer(kind)).of(token, "") for token in ids] in ([b"\xc3", b"\xa9"], [b"\xc3\xa9"])
    if kind == "byte fallback":
        assert len(ids) == 2


def test_a_token_that_is_left_out_of_the_text_has_no_bytes() -> None:
    known = TokenBytes(tokenizer("byte fallback"))
    end, think = tokenizer("byte fallback").convert_tokens_to_ids(["</s>", "<think>"])
    assert known.of(end, "</s>") == b""
    assert known.of(end, "</s>", skip_special_tokens=False) == b"</s>"
    assert known.of(think, "<think>") == b"<think>"
    assert known.of(10**6, "text") == b"text"  # no token: as it was decoded


@pytest.mark.parametrize("other", ["no tokenizer", PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))])
def test_of_other_tokenizers_the_bytes_are_those_of_the_text(other: Any) -> None:
    assert TokenBytes(other).of(5, "é") == "é".encode()


@pytest.mark.parametrize("kind", KINDS)
def test_in_answers_the_bytes_of_logprobs_are_the_answers_text(kind: str) -> None:
    text = "café 🌍"
    ids = tokenizer(kind).encode(text, add_special_tokens=False)
    positions = [{token: Logprob(-1.0, rank=1, decoded_token=""), ids[0]: Logprob(-2.0, 2, "x")} for token in ids]
    found = token_logprobs(ids, positions, 2, bytes_of=TokenBytes(tokenizer(kind)).of)
    shown = logprobs_json(found)["content"]
    assert b"".join(bytes(token["bytes"]) for token in shown).decode() == text
    assert all(token["top_logprobs"][0]["bytes"] == token["bytes"] for token in shown[1:])
