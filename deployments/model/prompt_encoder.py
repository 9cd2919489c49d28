"""Token ids of rendered prompts: the template's control strings are control tokens, those of messages ordinary text."""

import re
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer

from deployments.model.control_strings import ControlStringEscaper, added_tokens, any_of


class PromptEncoder:
    """Encoder of one tokenizer's prompts, in which an escaper left sentinels.

    Without sentinels, the ids are the tokenizer's own. Text around a sentinel, up to the template's next control
    tokens, is encoded by a copy of the tokenizer that has no control tokens.
    """

    def __init__(self, tokenizer: Any, escaper: ControlStringEscaper) -> None:
        self._tokenizer, self._escaper = tokenizer, escaper
        control = added_tokens(tokenizer)
        self._control = re.compile(any_of(control))
        self._unit = re.compile(_with_white_space(tokenizer, control))
        self._plain = _without_control_tokens(tokenizer, frozenset(control))

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`."""
        ids: list[int] = []
        for chunk, escaped in self._chunks(text):
            if not escaped:
                ids.extend(self._tokenizer.encode(chunk, add_special_tokens=False))
            elif self._plain is not None:
                ids.extend(self._plain.encode(chunk, add_special_tokens=False).ids)
            else:
                for part in self._broken(chunk):
                    ids.extend(self._tokenizer.encode(part, add_special_tokens=False))
        return tuple(ids)

    def _chunks(self, text: str) -> Iterator[tuple[str, bool]]:
        """Split `text` at the template's control tokens into pieces with and without escaped control strings."""
        pieces = self._escaper.split(text)
        if not any(escaped for _, escaped in pieces):
            yield text, False
            return
        kept, run, run_escaped = "", "", False  # behind `kept`, text that is not yet known to have an escaped string
        for piece, escaped in pieces:
            if escaped:
                run, run_escaped = run + piece, True
                continue
            start = 0
            for match in self._unit.finditer(piece):
                run += piece[start : match.start()]
                if run_escaped:
                    if kept:
                        yield kept, False
                    yield run, True
                    kept, run, run_escaped = "", "", False
                kept, run, start = kept + run + match.group(), "", match.end()
            run += piece[start:]
        if run_escaped:
            if kept:
                yield kept, False
            yield run, True
        elif kept + run:
            yield kept + run, False

    def _broken(self, text: str) -> Iterator[str]:
        """Parts of `text` that hold no control string, for tokenizers of which no copy can be made."""
        start = 0
        while (match := self._control.search(text, start)) is not None:
            yield text[start : match.start() + 1]
            start = match.start() + 1
        if text[start:]:
            yield text[start:]


def _with_white_space(tokenizer: Any, control: tuple[str, ...]) -> str:
    """Regular expression of control tokens, with the white space that some take from the text beside them."""
    flags: dict[tuple[bool, bool], list[str]] = {}
    decoder = getattr(tokenizer, "added_tokens_decoder", None) or {}
    sides = {str(token): (bool(token.lstrip), bool(token.rstrip)) for token in decoder.values()}
    for string in control:
        flags.setdefault(sides.get(string, (False, False)), []).append(string)
    ways = [
        (r"\s*" if left else "") + any_of(strings) + (r"\s*" if right else "")
        for (left, right), strings in sorted(flags.items())
    ]
    return "|".join(ways) or r"(?!)"


def _without_control_tokens(tokenizer: Any, control: frozenset[str]) -> Tokenizer | None:
    """Fast `tokenizer`, its model shared, that encodes a control token's text like any other; None for a slow one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    plain = Tokenizer(backend.model)
    if backend.normalizer is not None:
        plain.normalizer = backend.normalizer
    if backend.pre_tokenizer is not None:
        plain.pre_tokenizer = backend.pre_tokenizer
    plain.add_tokens([token for token in tokenizer.added_tokens_decoder.values() if str(token) not in control])
    return plain


def stable_end(text: str) -> int:
    """Length of the beginning of `text` whose tokens stay the same, whatever text follows.

    It ends behind a letter or digit that white space follows: tokenizers split there first. Behind punctuation, a
    token may hold the line breaks that follow as well.
    """
    for position in range(len(text) - 1, 0, -1):
        if text[position].isspace() and text[position - 1].isalnum():
            return position
    return 0
