"""Scorer of short texts: equality without case, punctuation, accents, articles and spacing."""

import re
import unicodedata

from evaluation.scoring import squad


def extract(text: str) -> str | None:
    """Return the whole text; `None` if it is blank."""
    return text.strip() or None


def same(extracted: str, reference: str) -> bool:
    """Compare normalized texts, also as SQuAD normalizes them: "the U.S." is "US"."""
    wanted = squad.normalized(reference)
    return is_right(extracted, reference) or (bool(wanted) and squad.normalized(extracted) == wanted)


def normalized(text: str) -> str:
    """Convert to lower case with single spaces, without accents, quotes or punctuation other than a sign."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return " ".join(re.sub(r"[^\w+-]+", " ", plain.replace("\N{MINUS SIGN}", "-")).split())


def is_right(answer: str, expected: str) -> bool:
    """Return True if the answer equals the expected text after normalization; any additional word makes it wrong."""
    left, right = normalized(answer), normalized(expected)
    return left == right if left or right else answer.strip() == expected.strip()
