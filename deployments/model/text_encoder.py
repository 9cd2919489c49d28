"""Encoding of long texts in pieces, so that a text that is too long, or that nobody waits for, costs little."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from deployments.model.prompt_budget import PromptBudget
from deployments.model.token_lengths import TokenLengths

PIECE = 32_768  # characters; some tens of milliseconds of a tokenizer
_WORD_END = re.compile(r"[^\W_](?=[ \n\t])")  # the next character begins a new token, whatever stands before or behind
_SPARE = 16  # tokens
_MARGIN = 2  # a text that had to be cut within words is refused at so many times its limit


class TextEncoder:
    """Encoder of texts without a length limit of their own. It has no state: threads may share it."""

    def __init__(
        self,
        encode: Callable[[str], Sequence[int]],
        lengths: TokenLengths | None = None,
        *,
        splits_at_blanks: bool = False,
        marks_beginning: bool = True,
        piece: int = PIECE,
    ) -> None:
        """Encode with `encode`, which releases the GIL if it can.

        Args:
            encode: text to token ids, none of them around the text.
            lengths: of the tokens. None: unknown, so that texts are not refused by their characters alone.
            splits_at_blanks: tokens begin behind each word. Without it, a long text is encoded whole, after it was
                counted in pieces.
            marks_beginning: the beginning of a text is encoded in its own way, so that a piece begins with known words.
            piece: characters that are encoded at once, if words end.
        """
        self._encode, self._lengths, self._piece = encode, lengths, piece
        self._splits_at_blanks, self._marks_beginning = splits_at_blanks, marks_beginning

    def check(self, text: str, budget: PromptBudget) -> None:
        """Raise `PromptTooLong` if `text` has too many characters for its budget, however long its tokens are."""
        if self._lengths is not None and budget.context_tokens is not None:
            budget.check_length(self._lengths.at_least(text), exact=False)

    def encode(self, text: str, budget: PromptBudget, *, checked: bool = False) -> Sequence[int]:
        """Token ids of `text`: the same as of the whole text at once. `checked`: its characters are not too many.

        Raises:
            PromptTooLong: it has more tokens than its budget.
            PromptAbandoned: nobody waits for it.
        """
        budget.check()
        if len(text) > self._piece:
            if not checked:
                self.check(text, budget)
            ids = self._in_pieces(text, budget)
            if ids is not None:
                return ids
            budget.check()
        found = self._encode(text)
        budget.check_length(len(found))
        return found

    def count(self, text: str, budget: PromptBudget) -> None:
        """Raise like `encode` if `text` is surely too long; much cheaper than `encode` for a much longer text."""
        self.check(text, budget)
        if len(text) > self._piece:
            self._in_pieces(text, budget)

    def head(self, text: str, tokens: int, budget: PromptBudget) -> str:
        """A beginning of `text` that begins with the same `tokens` tokens; the whole text if it has no more.

        Raises:
            PromptAbandoned: nobody waits for it.
        """
        size = max(8 * tokens, 4096)
        while size < len(text):
            budget.check()
            end = last_word_end(text, 0, size)
            enough = tokens + _SPARE if end is not None else (tokens + _SPARE) * _MARGIN
            beginning = text[: size if end is None else end]
            if len(self._encode(beginning)) > enough:
                return beginning
            size *= 4
        return text

    def _in_pieces(self, text: str, budget: PromptBudget) -> list[int] | None:
        """Token ids of `text`; None if they are not known to be those of the whole text, which may fit."""
        exact = self._splits_at_blanks
        if not exact and budget.context_tokens is None:
            return None
        ids: list[int] = []
        count = 0
        for before, start, end, at_word_end in self._pieces(text, cut_words=budget.context_tokens is not None):
            budget.check()
            known = len(self._encode(text[before:start])) if before < start else 0
            found = self._encode(text[before:end])
            count += len(found) - known
            exact = exact and at_word_end
            if exact:
                ids.extend(found[known:])
                budget.check_length(count, exact=end == len(text))
            else:
                ids.clear()
                budget.check_length(count // _MARGIN, exact=False)
        return ids if exact else None

    def _pieces(self, text: str, *, cut_words: bool) -> Iterator[tuple[int, int, int, bool]]:
        """Bounds of pieces: where the words before it begin, its start and end, and if it ends where a word does."""
        before = start = 0
        while start < len(text):
            target = start + self._piece
            found = _WORD_END.search(text, target, target + self._piece if cut_words else len(text))
            whole = found is not None or len(text) <= target + self._piece or not cut_words
            end = found.end() if found is not None else len(text) if whole else target
            if whole and len(text) - end < self._piece // 4:
                end = len(text)
            yield before, start, end, whole
            last = last_word_end(text, start, end - 1) if self._marks_beginning else end
            before, start = (start if last is None else last), end


def text_encoder(
    encode: Callable[[str], Sequence[int]], lengths: TokenLengths | None, piece: int = PIECE
) -> TextEncoder:
    """Encoder of a tokenizer with tokens of these `lengths`."""
    if lengths is None:
        return TextEncoder(encode, piece=piece)
    splits, marks = lengths.splits_at_blanks, lengths.marks_beginning
    return TextEncoder(encode, lengths, splits_at_blanks=splits, marks_beginning=marks, piece=piece)


def last_word_end(text: str, start: int, end: int) -> int | None:
    """End of the last word of `text[start:end]` that white space follows; None if there is none.

    The tokens of a text up to there stay the same, whatever text follows. Behind punctuation, a token may hold the line
    breaks that follow as well.
    """
    width = 256
    while end > start:
        first = max(start, end - width)
        if ends := [found.end() for found in _WORD_END.finditer(text, first, end)]:
            return ends[-1]
        end, width = (first + 1 if first > start else start), width * 2
    return None


def fast_encode(backend: Any) -> Callable[[str], Sequence[int]]:
    """Encoder of a `tokenizers.Tokenizer`; `encode_batch_fast` releases the GIL, `encode` does not."""

    def encode(text: str) -> Sequence[int]:
        ids: Sequence[int] = backend.encode_batch_fast([text], add_special_tokens=False)[0].ids
        return ids

    return encode
