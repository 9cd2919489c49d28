"""Escaping of control strings: text in messages that a model would take for its template's own.

Text of proposers and callers is untrusted. Two kinds of strings control a model:

* the tokenizer's added tokens (`<|im_start|>`, `<s>`, ...), which it looks up before it splits the rest of a text;
* literals that the chat template writes as plain text between messages (`[INST]` in some models, `### Response:`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

# Pattern of control literals, for templates that write them as plain text.
CONTROL_LITERAL = re.compile(
    r"<[|｜][^\s|｜<>]+[|｜]>|｜[A-Z]+｜|<</?[^\s<>]+>>|\[/?[A-Z][A-Z_]+\]|</?[a-z_]+>|#{2,} ?[A-Z]\w*:|\b[A-Z]{4,}:"
)
OPEN, CLOSE = "\ue000", "\ue001"  # private use: a sentinel is OPEN, the string's number, CLOSE


def added_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Strings that `tokenizer` turns into one token before it splits the rest of a text; runs of white space are none.

    SentencePiece writes a space as U+2581.
    """
    decoder = getattr(tokenizer, "added_tokens_decoder", None) or {}
    found = {str(token) for token in decoder.values()} | {str(token) for token in tokenizer.all_special_tokens}
    return tuple(sorted((token for token in found if token.replace("▁", " ").strip()), key=len, reverse=True))


def template_literals(renderings: Iterable[Callable[[], str]], added: Iterable[str]) -> tuple[str, ...]:
    """Control literals that the template writes itself, found by `renderings` of conversations that it accepts."""
    found: set[str] = set()
    for render in renderings:
        try:
            text = render()
        except Exception:
            continue
        found.update(CONTROL_LITERAL.findall(text))
    return tuple(sorted(found - set(added), key=len, reverse=True))


def any_of(strings: Iterable[str]) -> str:
    """Regular expression of the longest of `strings`; a trie, as some tokenizers have thousands of added tokens."""
    trie: dict[str, Any] = {}
    for string in strings:
        node = trie
        for character in string:
            node = node.setdefault(character, {})
        node[""] = {}
    return _trie_pattern(trie) if trie else r"(?!)"


def _trie_pattern(node: Mapping[str, Any]) -> str:
    ways = []
    for character, following in node.items():
        if character:
            path = re.escape(character)
            while len(following) == 1 and "" not in following:  # recursion only where strings part
                character, following = next(iter(following.items()))
                path += re.escape(character)
            ways.append(path + (_trie_pattern(following) if set(following) != {""} else ""))
    joined = ways[0] if len(ways) == 1 and "" not in node else f"(?:{'|'.join(ways)})"
    return f"{joined}?" if "" in node else joined


class ControlStringEscaper:
    """Replaces control strings in message contents by sentinels, and sentinels by the text of ordinary tokens."""

    def __init__(self, tokenizer: Any, literals: Sequence[str]) -> None:
        self._literals = frozenset(literals)
        own = {*added_tokens(tokenizer), *literals}
        self._strings = sorted({*own, OPEN, CLOSE}, key=len, reverse=True)
        self._numbers = {string: number for number, string in enumerate(self._strings)}
        self._pattern = re.compile(any_of(self._strings))
        self._own_pattern = re.compile(any_of(own))
        self._sentinel = re.compile(f"{OPEN}(\\d+){CLOSE}")
        self._normalize = _normalizer(tokenizer)

    def replace(self, content: str) -> str:
        """Replace each control string in `content` by a sentinel; most contents have none and stay unchanged."""
        escaped = self._pattern.sub(self._sentinel_of, content)
        if self._normalize is None:
            return escaped
        # A full-width or composed form that the tokenizer itself would turn into a control string.
        normal = self._normalize(escaped)
        if normal == escaped or not self._own_pattern.search(self._sentinel.sub(CLOSE, normal)):
            return escaped
        return self._pattern.sub(self._sentinel_of, self._normalize(content))

    def _sentinel_of(self, match: re.Match[str]) -> str:
        return f"{OPEN}{self._numbers[match.group()]}{CLOSE}"

    def replace_all(self, value: Any) -> Any:
        """`replace` for every text in a JSON value, the names of fields included."""
        if isinstance(value, str):
            return self.replace(value)
        if isinstance(value, Mapping):
            return {self.replace(str(name)): self.replace_all(part) for name, part in value.items()}
        return [self.replace_all(part) for part in value] if isinstance(value, list | tuple) else value

    def split(self, text: str) -> list[tuple[str, bool]]:
        """Split a rendered prompt into `(text, escaped)` pieces; escaped ones are text of messages."""
        pieces: list[tuple[str, bool]] = []
        for position, piece in enumerate(self._sentinel.split(text)):
            if position % 2 == 0:
                pieces.append((piece, False))
                continue
            string = self._strings[int(piece)]
            # A literal is recognized by its spelling, not by a token: a space after its first character breaks it.
            pieces.append((f"{string[0]} {string[1:]}" if string in self._literals else string, True))
        return [(piece, escaped) for piece, escaped in pieces if piece]


def _normalizer(tokenizer: Any) -> Callable[[str], str] | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    normalizer = getattr(backend, "normalizer", None)
    return None if normalizer is None else normalizer.normalize_str
