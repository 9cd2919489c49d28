"""Scorer of Python values, as in CRUXEval's output prediction."""

import ast
import re
import warnings
from typing import Any

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
    """Compare values and types, also of the parts: [1] is not [True]; compare sources if one is not a literal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as "\\d", which a model may write
            left, right = ast.literal_eval(extracted.strip()), ast.literal_eval(reference.strip())
        return bool(left == right) and _typed(left) == _typed(right)
    except (ValueError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError):  # TypeError: {{}}, {[]}
        return extracted.strip() == reference.strip()


def _typed(value: Any) -> Any:
    """The value with the type of each part, so that equal results have equal types at every depth."""
    if isinstance(value, dict):
        return dict, frozenset((_typed(key), _typed(part)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_typed, value))
    if isinstance(value, set):
        return set, frozenset(map(_typed, value))
    return type(value), value
