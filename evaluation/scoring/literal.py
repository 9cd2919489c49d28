"""Scorer of Python values, as in CRUXEval's output prediction."""

import ast
import re
import warnings

_ASSERTION = re.compile(r"assert\s+f\(.*\)\s*==\s*(.+)", re.DOTALL)
_TAGGED = re.compile(r"\[ANSWER\](.*?)(?:\[/ANSWER\]|$)", re.DOTALL)
_FENCED = re.compile(r"```(?:python)?\s*\n?(.*?)```", re.DOTALL)


def extract(text: str) -> str | None:
    """Return the value's source: from [ANSWER] tags or a code fence, right of an assertion's `==`, or the last line."""
    for pattern in (_TAGGED, _FENCED):
        if found := pattern.findall(text):
            text = found[-1]
    if assertion := _ASSERTION.search(text):
        text = assertion.group(1)
        return text.strip() or None
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip("`") if lines else None


def same(extracted: str, reference: str) -> bool:
    """Compare values and types (True is not 1); compare sources if one is not a literal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as "\\d", which a model may write
            left, right = ast.literal_eval(extracted.strip()), ast.literal_eval(reference.strip())
        return repr(left) == repr(right) if type(left) is not type(right) else bool(left == right)
    except (ValueError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError):  # TypeError: {{}}, {[]}
        return extracted.strip() == reference.strip()
