"""Which strings of a conversation could pass for the template's own, and how to make them harmless.

Text of proposers and callers is untrusted. Two kinds of strings have power over a model:

* the tokenizer's added tokens (`<|im_start|>`, `<s>`, ...): looked up in text before anything else;
* what the chat template writes as plain text between messages (`[INST]` in some tokenizers, `### Response:`).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

# What control text looks like, wherever a template writes it as plain text.
CONTROL_LITERAL = re.compile(
    r"<\|[^\s|<>]+\|>|<</?[^\s<>]+>>|\[/?[A-Z][A-Z_]+\]|</?[a-z_]+>|#{2,} ?[A-Z]\w*:|\b[A-Z]{4,}:"
)
OPEN, CLOSE = "\ue000", "\ue001"  # private use: a sentinel is OPEN, the string's number, CLOSE


def added_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Every string that `tokenizer` turns into one token before it looks at the text around it."""
    decoder = getattr(tokenizer, "added_tokens_decoder", None) or {}
    found = {str(token) for token in decoder.values()} | {str(token) for token in tokenizer.all_special_tokens}
    return tuple(sorted((token for token in found if token.strip()), key=len, reverse=True))


def template_literals(render: Callable[[Sequence[dict[str, str]]], str], added: Iterable[str]) -> tuple[str, ...]:
    """Control text that the template writes itself, found by rendering conversations it accepts."""
    system, user, answer = ({"role": role, "content": role.title()} for role in ("system", "user", "assistant"))
    found: set[str] = set()
    for conversation in ([system, user, answer, user], [user, answer, user]):
        try:
            text = render(conversation)
        except Exception:
            continue
        found.update(CONTROL_LITERAL.findall(text))
    return tuple(sorted(found - set(added), key=len, reverse=True))


class ControlStringEscaper:
    """Takes control strings out of message contents and puts them back as ordinary tokens."""

    def __init__(self, tokenizer: Any, literals: Sequence[str]) -> None:
        self._added = (*added_tokens(tokenizer), OPEN, CLOSE)
        self._literals = tuple(literals)
        strings = sorted({*self._added, *self._literals}, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(string) for string in strings))
        self._numbers = {string: number for number, string in enumerate(strings)}
        self._strings = strings
        self._sentinel = re.compile(f"{OPEN}(\\d+){CLOSE}")
        self._normalize = _normalizer(tokenizer)

    def replace(self, content: str) -> str:
        """`content` with a sentinel for each control string; most contents have none and come back as they are."""
        if self._normalize is not None:
            # A full-width or composed form that the tokenizer itself would turn into a control string.
            normal = self._normalize(content)
            if normal != content and self._pattern.search(normal) and not self._pattern.search(content):
                content = normal
        return self._pattern.sub(lambda match: f"{OPEN}{self._numbers[match.group()]}{CLOSE}", content)

    def split(self, text: str) -> list[tuple[str, bool]]:
        """Pieces of a rendered prompt: `(text, harmless)`; harmless pieces must be encoded without added tokens."""
        pieces: list[tuple[str, bool]] = []
        for position, piece in enumerate(self._sentinel.split(text)):
            if position % 2 == 0:
                pieces.append((piece, False))
                continue
            string = self._strings[int(piece)]
            # A literal's power is in its spelling, not in a token's number: a space after its first mark breaks it.
            pieces.append((f"{string[0]} {string[1:]}" if string in self._literals else string, True))
        return [(piece, harmless) for piece, harmless in pieces if piece]


def _normalizer(tokenizer: Any) -> Callable[[str], str] | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    normalizer = getattr(backend, "normalizer", None)
    return None if normalizer is None else normalizer.normalize_str
