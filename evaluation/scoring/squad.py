"""Normalization of short answers as in SQuAD's evaluation (arXiv 1606.05250): no case, punctuation and articles.

Unlike SQuAD's script it drops accents, and keeps what makes a number or a name another one: 3.5 is not 35, -3 is not
3, C++ is not C, and "a" in a row of letters is no article.
"""

import re
import unicodedata

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_MARKS = re.compile(
    r"((?<=\d)[^\w\s](?=\d)"  # between two digits
    r"|(?<!\w)-(?=\.?\d)|(?<!\w)\.(?=\d)"  # a sign or a point before a number
    r"|(?<=[^\W\d])[+#]+(?!\w))"  # after a letter
    r"|[^\w\s]|_"
)
_ARTICLES = re.compile(r"\b(?:(?:an|the)\b|a\b(?=\s+\w\w))")


def normalized(text: str) -> str:
    """Normalize a text; "" if it has no word."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    plain = _THOUSANDS.sub("", plain.replace("\N{MINUS SIGN}", "-"))
    plain = " ".join(_MARKS.sub(lambda mark: mark.group(1) or "", plain).split())
    return " ".join(_ARTICLES.sub(" ", plain).split()) or plain
