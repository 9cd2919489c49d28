"""Grammars in EBNF or in Lark's notation: the repetitions of their parts."""

import re

# Texts, character classes and comments, in which braces are characters.
QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"|\[(?:\\.|[^\]\\\n])*\]|/(?:\\.|[^/\\\n])+/|(?:#|//)[^\n]*')
BOUND = re.compile(r"\{\s*(\d{1,9})\s*(?:,\s*(\d{0,9})\s*)?\}|~\s*(\d{1,9})(?:\s*\.\.\s*(\d{1,9}))?")


def grammar_repetition(text: str) -> int:
    """Largest number of repetitions of a part of a grammar: 20 of `[a-z]{1,20}`, 4 of `[a-z]{4,}`."""
    return max(
        (max(int(bound or 0) for bound in found) for found in BOUND.findall(QUOTED.sub(" '' ", text))), default=1
    )
