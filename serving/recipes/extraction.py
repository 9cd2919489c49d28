"""Extraction of the short answer from a longer text, so that answers can be compared: votes, agreement, scores.

The texts come from models and are untrusted: every function here takes time linear in the length of the text.
"""

import re
import unicodedata
from fractions import Fraction
from typing import Literal

AnswerKind = Literal["text", "number", "choice", "boxed"]

# -- numbers -------------------------------------------------------------------------------------------------
LONGEST_NUMBER = 400  # characters, and the largest exponent: above it the exact value is too costly to compute
_NUMBER = r"(?=[-+]?\.?\d)[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?"
_MIXED_NUMBER = r"[-+]?\d{1,9}[ \u00a0\u2009\u202f]\d{1,9}/\d{1,9}(?![\d/])"  # "3 1/2"
_WITH_FRACTION = re.compile(rf"(?<![\w.])(?:{_MIXED_NUMBER}|(?:{_NUMBER})(?:\s*/\s*\d+)?)")
_MIXED_PARTS = re.compile(r"([-+]?)(\d{1,9})\s(\d{1,9})/(\d{1,9})")
_EXPONENT = re.compile(r"[eE][-+]?(\d+)")
_MARKED = re.compile(r"####\s*(.+)")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\,|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))")  # written otherwise than "1,000"
_SIGN = re.compile(r"-(?:\\?[$€£])(?=\.?\d)")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")

# -- letters, from the most to the least reliable pattern; a bare "A" counts only if it cannot be the article ----
_LETTER_PATTERNS = (
    re.compile(r"\\boxed\s*\{\s*(?:\\text\{)?\(?([A-J])\)?\}?\s*\}"),
    re.compile(r"(?i:\b(?:answer|choice|option)\b(?:\s+(?:is|would be))?\s*[:=]?\s*\**)\(?([A-J])\)?(?![\w'])"),
    re.compile(r"(?:^|\n)\s*\**\(?([A-J])(?:[).:]|\s*\**\s*(?:\n|$))"),
    re.compile(r"\(([A-J])\)"),
    re.compile(r"\b([B-HJ]|A(?=\s*[.,)]?\s*$))\b"),
)
_LONE = re.compile(r"\s*\(?([a-jA-J])[).]?\s*")
_BLANKS = re.compile(r"\s+")

# -- LaTeX -----------------------------------------------------------------------------------------------------
_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|,|;|!|:|quad|qquad)(?![a-zA-Z])|\\\s|[$\s]|\^\{?\\circ\}?|\\%|\\\$"
)
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf)\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]?frac(?:\{([^{}]*)\}|(\w))(?:\{([^{}]*)\}|(\w))")
_BRACED = re.compile(r"([\^_]|\\sqrt)\{(\w)\}")
_MIXED = re.compile(r"(?<![\w.}])(\d{1,9})\\[dt]?frac(?:\{(\d{1,9})\}|(\d))(?:\{(\d{1,9})\}|(\d))")
_SUM = re.compile(r"(?<=.)[-+]")  # not a sign
_FACTOR = re.compile(r"-?\d+(?:\.\d+)?|\w|\\[a-z]+|\\sqrt\w")


def extracted(text: str, kind: AnswerKind = "text") -> str | None:
    """Answer in `text`, normalized so that equal answers compare equal; `None` if there is none.

    Args:
        text: a model's whole answer.
        kind: `text`: the whole text, case-folded, without white space and closing punctuation at its ends. `number`,
            `choice`, `boxed`: the result of `number_in`, `choice_in` or `boxed_in`, with numbers by their value and
            LaTeX simplified.
    """
    if kind == "number":
        number = number_in(text)
        return None if number is None else _canonical(number)
    if kind == "choice":
        return choice_in(text)
    if kind == "boxed":
        boxed = boxed_in(text)
        return None if boxed is None else _canonical(simplified(boxed))
    plain = unicodedata.normalize("NFKC", " ".join(text.split())).casefold().strip(" .!?\"'")
    return plain or None


def _canonical(answer: str) -> str:
    number = number_value(answer)
    return answer if number is None else str(number)


def number_in(text: str) -> str | None:
    r"""Number in the answer, as written: after `####`, in `\boxed{}`, or the last one; `None` if there is none."""
    if (marked := _MARKED.findall(text)) and (found := _last_number(marked[-1])):
        return found
    if boxed := last_boxed(text):
        simple = simplified(boxed)
        if (found := simple if number_value(simple) is not None else _last_number(boxed)) is not None:
            return found
    return _last_number(text)


def _last_number(text: str) -> str | None:
    plain = _SIGN.sub("-", _THOUSANDS.sub(",", text.replace("−", "-")))
    found = _WITH_FRACTION.findall(plain)
    if not found:
        return None
    last = str(found[-1]).strip()
    if (parts := _MIXED_PARTS.fullmatch(last)) and _mixed(parts) is None:
        return f"{parts[3]}/{parts[4]}"  # two numbers side by side: "2 7/3"
    return last


def _mixed(parts: re.Match[str]) -> Fraction | None:
    """Value of a whole number and a fraction; `None` if the fraction is not between 0 and 1."""
    whole, top, bottom = map(int, parts.groups()[1:])
    if not 0 < top < bottom:
        return None
    value = whole + Fraction(top, bottom)
    return -value if parts[1] == "-" else value


def number_value(text: str) -> Fraction | None:
    """Exact value of `text`; `None` if it is not a number, or longer than `LONGEST_NUMBER`.

    "3,5" is two numbers, "3 1/2" is one.
    """
    cleaned = text.strip().strip("$%").strip().replace("−", "-").rstrip(".")
    if parts := _MIXED_PARTS.fullmatch(cleaned):
        return _mixed(parts)
    if len(cleaned) <= LONGEST_NUMBER:
        cleaned = "/".join(
            part.replace(",", "") if _GROUPED.fullmatch(part.strip()) else part for part in cleaned.split("/")
        )
    if len(cleaned) > LONGEST_NUMBER or any(int(power) > LONGEST_NUMBER for power in _EXPONENT.findall(cleaned)):
        return None
    top, slash, bottom = cleaned.partition("/")
    try:
        return Fraction(top.strip()) / Fraction(bottom.strip()) if slash else Fraction(cleaned)
    except (ValueError, ZeroDivisionError):
        return None


def choice_in(text: str) -> str | None:
    """Chosen letter, upper case: the last match of the most reliable pattern; `None` if there is none."""
    # Runs of white space become one character: several of the patterns below match white space in two places, which
    # would take quadratic time.
    text = _BLANKS.sub(lambda blanks: "\n" if "\n" in blanks[0] else " ", text)
    if lone := _LONE.fullmatch(text):
        return str(lone[1]).upper()
    for pattern in _LETTER_PATTERNS:
        if found := pattern.findall(text):
            return str(found[-1])
    return None


def last_boxed(text: str) -> str | None:
    r"""Content of the last `\boxed{}` or `\fbox{}`, with balanced braces; `None` if there is none."""
    starts = [match.end() for match in re.finditer(r"\\f?boxed\s*\{", text)]
    if not starts:
        return None
    depth = 1
    for position in range(starts[-1], len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[starts[-1] : position].strip()
    return None


def boxed_in(text: str) -> str | None:
    """Boxed answer, or else the number of the answer; `None` if there is neither."""
    return last_boxed(text) or number_in(text)


def simplified(latex: str) -> str:
    r"""Normalized spelling of LaTeX: `\dfrac12`, `\frac{1}{2}` and `1/2` give the same text.

    Numerators and denominators keep parentheses where their end would be lost: `\frac{x+1}{2}` is `(x+1)/2`.
    """
    text = _TEXT.sub(r"\1", latex.strip().strip("$").rstrip("."))
    text = _DROPPED.sub("", text)
    text = _BRACED.sub(r"\1\2", text)
    text = _FRACTION.sub(_slashed, _MIXED.sub(_improper, text))
    return text.replace("{,}", "").lower()


def _slashed(fraction: re.Match[str]) -> str:
    top, bottom = (part for part in fraction.groups() if part is not None)
    over = f"({top})" if _SUM.search(top) else top
    return f"{over}/{bottom}" if _FACTOR.fullmatch(bottom) else f"{over}/({bottom})"


def _improper(mixed: re.Match[str]) -> str:
    r"""Write 3\frac{1}{2} as 7/2."""
    whole, top, bottom = (int(part) for part in mixed.groups() if part is not None)
    return f"{whole * bottom + top}/{bottom}"
