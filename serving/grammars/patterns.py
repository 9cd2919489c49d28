"""Regular expressions of JSON schemas: their repetitions, and the constructs of which a grammar holds nothing.

xgrammar reads a subset of ECMAScript's expressions. It ignores lookaheads and anchors in the middle, and writes quotes,
backslashes and line ends into JSON as they are. An expression is matched with the whole text, with or without anchors.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

COUNT = re.compile(r"\{(\d{1,9})(,(\d{0,9}))?\}")
LITERAL_BREAKS = {'"': "a quote", "\\": "a backslash"}
CONTROL = re.compile(r"[nrtfv0]|c[A-Za-z]|x[01][0-9a-fA-F]|u00[01][0-9a-fA-F]|u\{0*[01]?[0-9a-fA-F]\}")
HEX_BREAKS = re.compile(r"(?:x|u00)(22|5[cC])|u\{0*(22|5[cC])\}")
MANY = 2**31


@dataclass(frozen=True, slots=True)
class Pattern:
    """Facts of an expression. Lengths are in characters; `longest` is at least `MANY` if nothing bounds it."""

    problem: str | None  # what no grammar holds, as a noun; None: nothing
    repetition: int  # largest number of repetitions, those of groups within groups multiplied
    shortest: int
    longest: int


@dataclass(slots=True)
class _Sizes:
    shortest: int = 0
    longest: int = 0
    repetition: int = 1


class _Unheld(Exception):
    """A construct that no grammar holds."""


@lru_cache(maxsize=512)
def pattern_facts(text: str, *, in_json: bool = True) -> Pattern:
    """Read an expression. One that cannot be read has its error as `problem`.

    `in_json`: its texts stand in JSON, where some characters need a backslash.
    """
    try:
        reader = _Reader(text, in_json=in_json)
        sizes = reader.alternatives(depth=0)
        if reader.at < len(text):
            raise _Unheld("a ')' without '('")
    except _Unheld as unheld:
        return Pattern(str(unheld), 1, 0, MANY)
    return Pattern(None, sizes.repetition, sizes.shortest, sizes.longest)


class _Reader:
    """Recursive descent over one expression."""

    def __init__(self, text: str, *, in_json: bool) -> None:
        self.text, self.at, self.in_json = text, 0, in_json

    def alternatives(self, depth: int) -> _Sizes:
        if depth > 50:
            raise _Unheld("more than 50 groups within each other")
        found = self._sequence(depth)
        while self._next("|"):
            other = self._sequence(depth)
            found.shortest = min(found.shortest, other.shortest)
            found.longest = max(found.longest, other.longest)
            found.repetition = max(found.repetition, other.repetition)
        return found

    def _next(self, wanted: str) -> bool:
        if self.text.startswith(wanted, self.at):
            self.at += len(wanted)
            return True
        return False

    def _sequence(self, depth: int) -> _Sizes:
        found = _Sizes()
        if self._next("^") and depth:
            raise _Unheld("'^' within a group")
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            if self._next("$"):
                if depth or (self.at < len(self.text) and self.text[self.at] != "|"):
                    raise _Unheld("'$' before the end")
                break
            one = self._repeated(self._atom(depth))
            found.shortest = min(found.shortest + one.shortest, MANY)
            found.longest = min(found.longest + one.longest, MANY)
            found.repetition = max(found.repetition, one.repetition)
        return found

    def _repeated(self, one: _Sizes) -> _Sizes:
        """`one` with the quantifier behind it, if there is one."""
        least, most = 1, 1
        if self._next("*"):
            least, most = 0, MANY
        elif self._next("+"):
            least, most = 1, MANY
        elif self._next("?"):
            least, most = 0, 1
        elif self.text.startswith("{", self.at):
            count = COUNT.match(self.text, self.at)
            if count is None:
                raise _Unheld("'{' that begins no number of repetitions; write '\\{'")
            self.at = count.end()
            least = int(count[1])
            most = least if count[2] is None else int(count[3]) if count[3] else MANY
            if most < least:
                raise _Unheld(f"the repetition '{count[0]}'")
        else:
            return one
        self._next("?")  # lazy or not, the texts are the same
        # What has no upper bound is a loop, which costs as much as its beginning.
        bound = least if most == MANY else most
        return _Sizes(
            min(one.shortest * least, MANY), min(one.longest * most, MANY), max(one.repetition * max(bound, 1), 1)
        )

    def _atom(self, depth: int) -> _Sizes:
        char = self.text[self.at]
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        self.at += 1
        if char == "\\":
            self._escape(in_class=False)
        elif char in "*+?{":
            raise _Unheld(f"'{char}' behind nothing")
        elif char == "^":
            raise _Unheld("'^' behind the beginning")
        elif char != ".":
            self._check_literal(char)
        return _Sizes(1, 1)

    def _group(self, depth: int) -> _Sizes:
        self.at += 1
        if self._next("?"):
            if self._next("=") or self._next("!"):
                raise _Unheld("a lookahead")
            if self._next("<=") or self._next("<!"):
                raise _Unheld("a lookbehind")
            if self._next("<") or self._next("P<"):
                closed = self.text.find(">", self.at)
                if closed < 0:
                    raise _Unheld("a group whose name does not end")
                self.at = closed + 1
            elif not self._next(":"):
                raise _Unheld("a group with flags")
        found = self.alternatives(depth + 1)
        if not self._next(")"):
            raise _Unheld("a '(' without ')'")
        return found

    def _class(self) -> _Sizes:
        self.at += 1
        negated = self._next("^")
        if self.text.startswith("]", self.at):
            raise _Unheld("an empty character class")
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == "]":
                return _Sizes(1, 1)
            if char == "\\":
                self._escape(in_class=True, negated=negated)
            elif not negated and not self._in_range():
                self._check_literal(char)
        raise _Unheld("a '[' without ']'")

    def _in_range(self) -> bool:
        """True if the last character is the beginning or the end of a range, of which no quote is written."""
        before = self.text[self.at - 2] == "-" and self.text[self.at - 3] != "["
        return before or (self.text.startswith("-", self.at) and not self.text.startswith("-]", self.at))

    def _escape(self, *, in_class: bool, negated: bool = False) -> None:
        rest = self.text[self.at : self.at + 10]
        if not rest:
            raise _Unheld("a backslash at the end")
        if rest[0] in "123456789" or rest[0] == "k":
            raise _Unheld("a backreference")
        if rest[0] in "bB" and not in_class:
            raise _Unheld("a word boundary")
        if rest[0] in "pP":
            raise _Unheld("a class of Unicode's properties")
        plain = not negated and self.in_json
        if plain and (CONTROL.match(rest) or HEX_BREAKS.match(rest)):
            raise _Unheld(f"'\\{rest[0]}', which JSON writes with a backslash")
        if plain and rest[0] in LITERAL_BREAKS:
            raise _Unheld(f"{LITERAL_BREAKS[rest[0]]}, which JSON writes with a backslash")
        self.at += 1
        if rest[0] == "u" and rest[1:2] == "{":
            self.at = max(self.at, self.text.find("}", self.at) + 1)
        elif rest[0] in "xu":
            self.at += 2 if rest[0] == "x" else 4
        elif rest[0] == "c":
            self.at += 1

    def _check_literal(self, char: str) -> None:
        if self.in_json and (char in LITERAL_BREAKS or char < " "):
            raise _Unheld(f"{LITERAL_BREAKS.get(char, 'a control character')}, which JSON writes with a backslash")
