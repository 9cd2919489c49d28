"""Grammars in EBNF or in Lark's notation: the repetitions of their parts."""

import re

from serving.grammars.patterns import MANY

OPENING = re.compile(r'["\[/#]')
# Texts, character classes and expressions, in which braces are characters. Each matches from its first character to the
# last group, which is empty if the end is missing. Nothing is tried twice: the quantifiers are possessive.
QUOTED = {
    '"': re.compile(r'"(?:\\.|[^"\\\n])*+("?)'),
    "[": re.compile(r"\[(?:\\.|[^\]\\\n])*+(\]?)"),
    "/": re.compile(r"/(?:\\.|[^/\\\n])++(/?)"),
}
COMMENT = re.compile(r"(?:#|//)[^\n]*+")
BOUND = re.compile(r"\{\s*+(\d++)\s*+(?:,\s*+(\d*+)\s*+)?\}|~\s*+(\d++)(?:\s*+\.\.\s*+(\d++))?")


def grammar_repetition(text: str) -> int:
    """Largest number of repetitions of a part of a grammar: 20 of `[a-z]{1,20}`, 4 of `[a-z]{4,}`."""
    return max((max(_number(bound) for bound in found) for found in BOUND.findall(_bare(text))), default=1)


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or 0) if len(digits) <= 9 else MANY


def _bare(text: str) -> str:
    """`text` without what is quoted and without comments, in time that grows with its length."""
    pieces: list[str] = []
    kept = at = 0  # all before `kept` is in `pieces`
    open_until = dict.fromkeys(QUOTED, 0)  # what begins before this place has no end, as what began before it
    while (opening := OPENING.search(text, at)) is not None:
        at, kind = opening.start(), opening[0]
        quoted = QUOTED[kind].match(text, at) if kind in QUOTED and at >= open_until[kind] else None
        if quoted is not None and not quoted[1]:
            open_until[kind], quoted = quoted.end(), None
        quoted = quoted or COMMENT.match(text, at)
        if quoted is None:
            at += 1
            continue
        pieces += [text[kept:at], " '' "]
        kept = at = quoted.end()
    return "".join([*pieces, text[kept:]])
