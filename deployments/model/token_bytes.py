"""Bytes of single tokens: a character may be several tokens, none of which has a text of its own."""

import re
from collections.abc import Mapping
from typing import Any

from deployments.model.token_lengths import BLANK, byte_alphabet, parts_of

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenBytes:
    """Bytes of the tokens of one tokenizer; those of an answer's tokens, joined, are those of its text.

    Known are byte-level BPE and SentencePiece with byte fallback, which all decoders of current models are. With any
    other tokenizer, and without a fast one, the bytes are those of the text that the engine decoded.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Read the decoder of `tokenizer`, a Hugging Face tokenizer."""
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        decoders = parts_of(None if self._backend is None else self._backend.decoder)
        kinds = {part["type"] for part in decoders}
        self._byte_level = "ByteLevel" in kinds
        self._byte_fallback = "ByteFallback" in kinds
        self._marked = "Metaspace" in kinds or any(part.get("pattern") == {"String": BLANK} for part in decoders)
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
            known = byte_alphabet()
            # A character outside of the alphabet is itself, as in the decoder.
            return b"".join(bytes([known[one]]) if one in known else one.encode() for one in token)
        if (byte := BYTE_TOKEN.fullmatch(token)) is not None:
            return bytes([int(byte[1], 16)])
        return (token.replace(BLANK, " ") if self._marked else token).encode()
