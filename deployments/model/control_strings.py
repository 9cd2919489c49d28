"""Escaping of control strings: text in messages that a model would take for its template's own.

Text of proposers and callers is untrusted. Two kinds of strings control a model:

* control tokens (`<|im_start|>`, `<s>`, ...): those of the tokenizer's added tokens that are special, that the chat
  template writes or that look like such a token. A tokenizer looks them up before it splits the rest of a text. Its
  other added tokens (`<h1>`, runs of blanks) are ordinary text;
* literals that the chat template writes as plain text between messages (`[INST]` in some models, `### Response:`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ahocorasick_rs import AhoCorasick, MatchKind
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from deployments.model.token_lengths import BLANK, is_blank_writer, parts_of

# Pattern of control tokens that no template shows.
CONTROL_TOKEN = re.compile(r"<[|｜].*[|｜]>|｜[A-Z]+｜", re.DOTALL)
# Pattern of control literals, for templates that write them as plain text.
CONTROL_LITERAL = re.compile(
    r"<[|｜][^\s|｜<>]+[|｜]>|｜[A-Z]+｜|<</?[^\s<>]+>>|\[/?[A-Z][A-Z_]+\]|</?[a-z_]+>|#{2,} ?[A-Z]\w*:|\b[A-Z]{4,}:"
)
# Private use. An escaped string is OPEN, its characters with BETWEEN between them, CLOSE: no control string is in it,
# and what a template does with its characters (quotes in JSON) it does with them.
OPEN, CLOSE, BETWEEN = "\ue000", "\ue001", "\ue002"
_ESCAPED = re.compile(f"{OPEN}(.(?:{BETWEEN}.)*){CLOSE}", re.DOTALL)

Span = tuple[int, int, str]  # start, end, and what is written in their place


def added_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Strings that `tokenizer` turns into one token before it splits the rest of a text; runs of white space are none.

    SentencePiece writes a space as U+2581.
    """
    decoder = getattr(tokenizer, "added_tokens_decoder", None) or {}
    found = {str(token) for token in decoder.values()} | {str(token) for token in tokenizer.all_special_tokens}
    return tuple(sorted((token for token in found if token.replace(BLANK, " ").strip()), key=len, reverse=True))


def control_tokens(tokenizer: Any, written: str) -> tuple[str, ...]:
    """Those of `added_tokens` that control the model; `written`: text of the chat template and of its prompts."""
    decoder = getattr(tokenizer, "added_tokens_decoder", None) or {}
    special = {str(token) for token in decoder.values() if token.special} | set(tokenizer.all_special_tokens)
    added = added_tokens(tokenizer)
    shown = {added[index] for index in StringMatcher(added).indexes(written)} if added else set()
    return tuple(one for one in added if one in special or one in shown or CONTROL_TOKEN.fullmatch(one))


def template_literals(renderings: Iterable[str], added: Iterable[str]) -> tuple[str, ...]:
    """Control literals that the template writes itself, found in `renderings` of conversations that it accepts."""
    found = {literal for text in renderings for literal in CONTROL_LITERAL.findall(text)}
    return tuple(sorted(found - set(added), key=len, reverse=True))


class StringMatcher:
    """Finder of strings in a text, in a time that is linear in the text; it releases the GIL."""

    def __init__(self, strings: Sequence[str]) -> None:
        """Find any of `strings`, the longest at each place."""
        self.strings = tuple(strings)
        self._automaton = AhoCorasick(self.strings, matchkind=MatchKind.LeftmostLongest, store_patterns=False)

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """Index of each string found in `text`, its start and its end; they do not overlap."""
        return self._automaton.find_matches_as_indexes(text) if self.strings else []

    def indexes(self, text: str) -> set[int]:
        """Indexes of the strings in `text`, of which the longest at each place are found."""
        return {index for index, _, _ in self.find(text)}


class ControlStringEscaper:
    """Escapes control strings in message contents, so that prompts rendered of them can be told apart from templates.

    The texts themselves stay as they are, but for literals: they are recognized by their spelling, not by a token, so
    that a space behind their first character breaks them.
    """

    def __init__(self, tokenizer: Any, tokens: Sequence[str], literals: Sequence[str] = ()) -> None:
        """Escape `tokens` and `literals`, and what the tokenizer's normalizer would make one of them."""
        self.tokens = tuple(tokens)
        normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
        parts = parts_of(normalizer)
        spellings = {string: string in literals for string in (*tokens, *literals)}
        for string, literal in [*spellings.items()]:  # blanks may be written in two ways
            if any(is_blank_writer(part) for part in parts):
                spellings |= {string.replace(" ", BLANK): literal, string.replace(BLANK, " "): literal}
        #: Length of the longest string with white space in it: within such a string no text is known to be complete.
        self.reach = max((len(one) for one in spellings if any(map(str.isspace, one))), default=0)
        spellings |= dict.fromkeys((OPEN, CLOSE, BETWEEN), False)
        self._strings = StringMatcher([*spellings])
        self._marks = [_marked(string, literal=literal) for string, literal in spellings.items()]
        self._normal: _NormalForms | None = None
        if any(not is_blank_writer(part) for part in parts):
            self._normal = _NormalForms(normalizer, spellings)

    def replace(self, content: str) -> str:
        """Escape each control string in `content`; most contents have none and stay unchanged."""
        spans = self._spans(content)
        escaped = _escaped(content, spans) if spans else content
        if self._normal is not None and self._normal.may_change(content) and self._normal.has_control(escaped):
            spans = sorted({*spans, *self._normal.spans(content)})
            escaped = _escaped(content, spans)
        return escaped

    def _spans(self, text: str) -> list[Span]:
        return [(start, end, self._marks[index]) for index, start, end in self._strings.find(text)]

    def replace_all(self, value: Any) -> Any:
        """`replace` for every text in a JSON value, the names of fields included."""
        if isinstance(value, str):
            return self.replace(value)
        if isinstance(value, Mapping):
            return {self.replace(str(name)): self.replace_all(part) for name, part in value.items()}
        return [self.replace_all(part) for part in value] if isinstance(value, list | tuple) else value

    def split(self, text: str) -> Iterator[tuple[str, bool]]:
        """Split a rendered prompt into `(text, escaped)` pieces; escaped ones are text of messages."""
        for position, piece in enumerate(_ESCAPED.split(text)):
            if piece:
                yield (piece[::2], True) if position % 2 else (piece, False)

    def plain(self, text: str) -> str:
        """A rendered prompt with its escaped strings as they were."""
        return "".join(piece for piece, _ in self.split(text)) if OPEN in text else text


def _escaped(content: str, spans: Iterable[Span]) -> str:
    parts, done = [], 0
    for start, end, mark in spans:
        if start < done:  # found in two ways
            continue
        parts += [content[done:start], mark]
        done = end
    return "".join([*parts, content[done:]])


def _marked(string: str, *, literal: bool) -> str:
    """Escaped form of a control string; that of a literal is broken."""
    return f"{OPEN}{BETWEEN.join(f'{string[0]} {string[1:]}' if literal else string)}{CLOSE}"


class _NormalForms:
    """Finder of texts that a normalizer makes control strings of, such as full-width or composed forms."""

    def __init__(self, normalizer: Any, spellings: Mapping[str, bool]) -> None:
        spellings = {string: literal for string, literal in spellings.items() if string not in (OPEN, CLOSE, BETWEEN)}
        forms = {**{normalizer.normalize_str(one): literal for one, literal in spellings.items()}, **spellings}
        self._normalize: Callable[[str], str] = normalizer.normalize_str
        self._forms = StringMatcher([form for form in forms if form])
        self._literals = frozenset(form for form, literal in forms.items() if literal)
        # One token for each normal character, whose offsets are those of the text as it was.
        self._characters = Tokenizer(models.WordLevel({"x": 0}, unk_token="x"))
        self._characters.normalizer = normalizer
        self._characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        kinds = {part["type"] for part in parts_of(normalizer)}
        self._only_composes = kinds <= {"NFC", "NFD", "NFKC", "NFKD"}

    def may_change(self, text: str) -> bool:
        """False if the normal form of `text` is surely `text` itself."""
        return not (self._only_composes and text.isascii())

    def has_control(self, text: str) -> bool:
        """True if the normal form of `text` has a control string."""
        normal = self._normalize(text)
        return normal != text and bool(self._forms.find(normal))

    def spans(self, text: str) -> list[Span]:
        """Spans of `text` that become control strings."""
        normal = self._normalize(text)
        offsets = self._characters.encode_batch([text], add_special_tokens=False)[0].offsets
        if len(offsets) != len(normal):
            return [(0, len(text), _marked(text, literal=False))]
        spans = []
        for index, start, end in self._forms.find(normal):
            first = offsets[start][0]
            last = max(offsets[end - 1][1], first + 1)
            literal = self._forms.strings[index] in self._literals
            spans.append((first, last, _marked(text[first:last], literal=literal)))
        return spans
