"""Bytes of single tokens: a character may be several tokens, none of which has a text of its own."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
WORD_MARK = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's sign for a blank


class TokenBytes:
    """Bytes of the tokens of one tokenizer; those of an answer's tokens, joined, are those of its text.

    Known are byte-level BPE and SentencePiece with byte fallback, which all decoders of current models are. With any
    other tokenizer, and without a fast one, the bytes are those of the text that the engine decoded.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Read the decoder of `tokenizer`, a Hugging Face tokenizer."""
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        decoders = _decoders(self._backend)
        self._byte_level = "ByteLevel" in decoders
        self._byte_fallback = "ByteFallback" in decoders
        self._marked = decoders.get("Replace") == WORD_MARK or "Metaspace" in decoders
        added = {} if self._backend is None else self._backend.get_added_tokens_decoder()
        self._added: Mapping[int, Any] = added

    def of(self, token_id: int, text: str, *, skip_special_tokens: bool = True) -> bytes:
        """Bytes of a token, which the engine decoded as `text`; none of one that is left out of the answer's text."""
        if (added := self._added.get(token_id)) is not None:
            return b"" if added.special and skip_special_tokens else str(added.content).encode()
        token: str | None = None if self._backend is None else self._backend.id_to_token(token_id)
        if token is None or not (self._byte_level or self._byte_fallback):
            return text.encode()
        if self._byte_level:
            known: Mapping[str, bytes] = _bytes_of_characters()
            # A character outside of the alphabet stands for itself, as in the decoder.
            return b"".join(known.get(character) or character.encode() for character in token)
        if (byte := BYTE_TOKEN.fullmatch(token)) is not None:
            return bytes([int(byte[1], 16)])
        return (token.replace(WORD_MARK, " ") if self._marked else token).encode()


def _decoders(backend: Any) -> dict[str, str]:
    """Types of a tokenizer's decoders; of `Replace` with the text that it replaces."""
    decoder = None if backend is None else backend.decoder
    if decoder is None:
        return {}
    return dict(_types(json.loads(decoder.__getstate__())))


def _types(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for inner in state.get("decoders", ()):
        yield from _types(inner)
    pattern = state.get("pattern")
    yield state["type"], pattern.get("String", "") if isinstance(pattern, dict) else ""


@cache
def _bytes_of_characters() -> Mapping[str, bytes]:
    """The byte for each character of a byte-level token: GPT-2's alphabet, which has a printable one for every byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {
        **{chr(byte): bytes([byte]) for byte in printable},
        **{chr(256 + place): bytes([byte]) for place, byte in enumerate(others)},
    }
