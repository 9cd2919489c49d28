"""Characters per token: a lower bound of the number of tokens of a text, known before the text is tokenized.

A token holds at most as many characters as the longest token of the vocabulary in which one of them occurs. With
`weight(c) = 1 / (length of the longest token that has c)`, the weights of a token's characters add up to 1 at most, and
the weights of a text's characters to its number of tokens at most. A character that is cut into several tokens belongs
to the one with its first byte.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import models

BLANK = "▁"  # SentencePiece's way to write a space
_CODES = 0x110000
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # SentencePiece's token of a single byte
_ACROSS_BLANK = re.compile(r"[^\W_]\s")
_KEEPING = frozenset({"ByteLevel", "Split", "Digits", "Metaspace", "Punctuation"})  # pre-tokenizers
_SYLLABLES = slice(0xAC00, 0xD7A4)  # Korean, composed by a rule
_LEADING, _FOLLOWING = slice(0x1100, 0x1113), (slice(0x1161, 0x1176), slice(0x11A8, 0x11C3))

Weights = npt.NDArray[np.float32]


class TokenLengths:
    """Lengths of the tokens of one vocabulary."""

    def __init__(self, weights: Weights, *, splits_at_blanks: bool, marks_beginning: bool) -> None:
        """Use the `weights` of all characters, by their code."""
        self._weights = weights
        self.splits_at_blanks = splits_at_blanks  # no token has a letter or digit before white space
        self.marks_beginning = marks_beginning  # with a blank that the text does not have

    def at_least(self, text: str) -> int:
        """Lower bound of the number of tokens of `text`."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        return math.floor(float(self._weights[codes].sum(dtype=np.float64)) * (1 - 1e-6))


def token_lengths(tokenizer: Any) -> TokenLengths | None:
    """Lengths of the tokens of a fast Hugging Face `tokenizer`.

    None if a token can stand for a text of any length: unknown words that become one token, white space or accents that
    are left out, or parts of a tokenizer that are not known here.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not isinstance(backend.model, models.BPE) or backend.model.dropout is not None:
        return None
    normalizers, splitters = parts_of(backend.normalizer), parts_of(backend.pre_tokenizer)
    if not all(_keeps_length(part) for part in normalizers) or not all(_keeps_all(part) for part in splitters):
        return None
    vocabulary: Mapping[str, int] = tokenizer.get_vocab()
    byte_level = any(part["type"] == "ByteLevel" for part in (*normalizers, *splitters))
    alphabet = byte_alphabet() if byte_level else {}
    own_bytes = alphabet if byte_level else {f"<0x{value:02X}>" for value in range(256)}
    if not (byte_level or backend.model.byte_fallback) or not set(own_bytes) <= vocabulary.keys():
        return None  # characters that are not in the vocabulary are left out, or become one token together
    added = {str(token): token for token in tokenizer.added_tokens_decoder.values()}
    longest: dict[str, int] = {}
    partial = [1] * 256  # by the first byte of a character whose other bytes are not in the token
    splits = True
    for token in vocabulary:
        data = bytes_of(token, {} if token in added else alphabet)
        text, rest = _decoded(data)
        length = len(text) + (rest is not None)
        for character in set(text):
            if length > longest.get(character, 0):
                longest[character] = length
        if rest is not None:
            partial[rest] = max(partial[rest], length)
        if not byte_level and BLANK in text:
            text = text.replace(BLANK, " ")
            longest[" "] = max(longest.get(" ", 0), length)
        splits = splits and not (length > 1 and _ACROSS_BLANK.search(text))
    weights = _weights_of(longest, partial)
    if any(part["type"] == "NFC" for part in normalizers):
        _allow_composition(weights)
    if any(token.lstrip or token.rstrip for token in added.values()):  # white space beside it belongs to the token
        weights[[code for code in range(0x3001) if chr(code).isspace()]] = 0
    marks = any(part["type"] == "Prepend" for part in normalizers) or any(map(_marks_beginning, splitters))
    return TokenLengths(weights, splits_at_blanks=splits, marks_beginning=marks)


def parts_of(component: Any) -> list[dict[str, Any]]:
    """Descriptions of a tokenizer's normalizer, pre-tokenizer or decoder, sequences part by part; None: it has none."""
    return [] if component is None else list(_flat(json.loads(component.__getstate__())))


def _flat(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if part["type"] == "Sequence":
        for one in part.get("normalizers") or part.get("pretokenizers") or part.get("decoders") or ():
            yield from _flat(one)
    else:
        yield part


def _keeps_length(normalizer: Mapping[str, Any]) -> bool:
    kind = normalizer["type"]
    return kind in ("NFC", "Prepend", "ByteLevel") or is_blank_writer(normalizer)


def is_blank_writer(normalizer: Mapping[str, Any]) -> bool:
    """True for a part of a normalizer that writes spaces as U+2581, or puts one in front."""
    if normalizer["type"] == "Replace":
        return bool(normalizer["pattern"] == {"String": " "} and normalizer["content"] == BLANK)
    return bool(normalizer["type"] == "Prepend")


def _marks_beginning(splitter: Mapping[str, Any]) -> bool:
    return bool(splitter["type"] == "Metaspace" or splitter.get("add_prefix_space"))


def _keeps_all(splitter: Mapping[str, Any]) -> bool:
    return splitter["type"] in _KEEPING and splitter.get("behavior") != "Removed"


@cache
def byte_alphabet() -> Mapping[str, int]:
    """The byte of each character of byte-level tokens: GPT-2's alphabet, with a printable character for every byte."""
    module: Any = import_module("transformers.convert_slow_tokenizer")  # `transformers` has a function of that name
    to_characters: Mapping[int, str] = module.bytes_to_unicode()
    return {character: value for value, character in to_characters.items()}


def bytes_of(token: str, alphabet: Mapping[str, int]) -> bytes:
    """Bytes of a token, each character of which is one byte of `alphabet`; if one is not, those of its text."""
    if alphabet and alphabet.keys() >= set(token):
        return bytes(map(alphabet.__getitem__, token))
    byte = _BYTE.fullmatch(token)
    return token.encode("utf-8", "surrogatepass") if byte is None else bytes.fromhex(byte[1])


def _decoded(data: bytes) -> tuple[str, int | None]:
    """Characters whose first byte is in `data`: whole ones, and the first byte of one that is cut at the end."""
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        pass
    text = data.decode(errors="ignore")
    cut = next((byte for byte in reversed(data[-3:]) if byte & 0xC0 != 0x80), 0)
    place = data.rfind(bytes([cut])) if cut >= 0xC0 else -1
    return text, None if place < 0 or _is_whole(data[place:]) else cut


def _is_whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _weights_of(longest: Mapping[str, int], partial: list[int]) -> Weights:
    lengths = np.ones(_CODES, np.float32)
    starts = [(0x80, 0x800), (0x800, 0x10000), (0x10000, _CODES)]
    for (start, end), lead, bits in zip(starts, (0xC0, 0xE0, 0xF0), (6, 12, 18), strict=True):
        codes = np.arange(start, end)
        lengths[start:end] = np.array(partial, np.float32)[lead + (codes >> bits)]
    for character, length in longest.items():
        lengths[ord(character)] = max(lengths[ord(character)], length)
    weights: Weights = np.reciprocal(lengths)
    return weights


def _allow_composition(weights: Weights) -> None:
    """Lower `weights` to those of a text before its normalization to NFC, which joins characters."""
    absorbed, changed = _compositions()
    weights[list(absorbed)] = 0
    for codes in _FOLLOWING:
        weights[codes] = 0
    weights[_SYLLABLES] = weights[_SYLLABLES].min()
    weights[_LEADING] = min(weights[_LEADING].min(), weights[_SYLLABLES].min())
    for _ in range(4):  # composed characters are composed again, three times at most
        for before, after in changed:
            weights[before] = min(weights[before], weights[after])


@cache
def _compositions() -> tuple[frozenset[int], tuple[tuple[int, int], ...]]:
    """Characters that NFC may join to the one before, and others beside what they may become the beginning of."""
    absorbed: set[int] = set()
    changed: set[tuple[int, int]] = set()
    for code in range(0x80, _CODES):
        character = chr(code)
        if unicodedata.combining(character):
            absorbed.add(code)
        mapping = unicodedata.decomposition(character)
        if mapping and not mapping.startswith("<"):
            first, *others = (int(part, 16) for part in mapping.split())
            absorbed.update(others)
            changed |= {(first, code), (code, ord(unicodedata.normalize("NFC", character)[0]))}
    return frozenset(absorbed), tuple(sorted(one for one in changed if one[0] != one[1]))
