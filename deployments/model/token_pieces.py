"""Tokens of an output with their texts, whatever the cuts of the engine's stream."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers.decoders import DecodeStream

from serving.types import TokenLogprob

PRIMING_TOKENS = 32  # of the prompt: enough for the white space between its last and the answer's first token


@dataclass(frozen=True, slots=True)
class Piece:
    """Token ids and their text."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()


EMPTY = Piece("", ())


class Pieces:
    """Splits output into its tokens with their texts, whatever the cuts of the engine's stream.

    vLLM's parsers look for a tag's text in the piece that has its token: text that comes later, as it may become a stop
    string, or several tokens at once make some of them lose or leak text.
    """

    def __init__(self, decoder: "Decoder | None") -> None:
        self._decoder = decoder
        self._waiting: deque[Piece] = deque()
        self._part = EMPTY  # tokens of an incomplete character
        self._text = ""  # of the waiting pieces, so far

    def add(
        self, text: str, token_ids: Sequence[int], logprobs: Sequence[TokenLogprob], *, finished: bool
    ) -> list[tuple[Piece, bool]]:
        """Pieces that are complete now; the second value is true for the last piece of all."""
        self._text += text
        for position, token_id in enumerate(token_ids):
            decoder = self._decoder
            piece = Piece(
                "" if decoder is None else decoder.text(token_id),
                (*self._part.token_ids, token_id),
                (*self._part.logprobs, *logprobs[position : position + 1]),
            )
            if decoder is not None and not piece.text and token_id not in decoder.added:
                self._part = piece
            else:
                self._part = EMPTY
                self._waiting.append(piece)
        if finished and self._part.token_ids:
            self._waiting.append(self._part)
        ready: list[Piece] = []
        while self._decoder is not None and self._waiting and len(self._waiting[0].text) <= len(self._text):
            piece = self._waiting[0]
            if not self._text.startswith(piece.text):
                self._decoder = None  # the engine decodes differently
                break
            ready.append(self._waiting.popleft())
            self._text = self._text[len(piece.text) :]
        if (self._decoder is None or finished) and (self._waiting or self._text):
            ids = tuple(one for piece in self._waiting for one in piece.token_ids)
            kept = tuple(one for piece in self._waiting for one in piece.logprobs)
            ready.append(Piece(self._text, ids, kept))
            self._waiting.clear()
            self._text = ""
        if finished and not ready:
            ready.append(EMPTY)
        return [(piece, finished and number == len(ready)) for number, piece in enumerate(ready, 1)]


class Decoder:
    """Text of tokens, one by one, as vLLM decodes them."""

    def __init__(
        self, tokenizer: Any, added: frozenset[int], prompt: Sequence[int], *, skip_special_tokens: bool
    ) -> None:
        """`added`: ids of the tokens that are no parts of words or characters."""
        self._tokenizer, self.added = tokenizer, added
        self._stream = DecodeStream(ids=list(prompt[-PRIMING_TOKENS:]), skip_special_tokens=skip_special_tokens)

    def text(self, token_id: int) -> str:
        """Text that `token_id` adds; empty within a character."""
        try:
            return self._stream.step(self._tokenizer, token_id) or ""
        except Exception:  # invalid UTF-8, for which vLLM starts a new stream
            return ""
