"""CRUXEval's output prediction (arXiv 2401.03065): rows of code (a function `f`), input and output."""

from collections.abc import Mapping
from typing import Any

from evaluation.items import Item

FIELDS = frozenset({"code", "input", "output"})
PROMPT = (
    "Here is a Python function and an assertion that lacks its right side.\n\n{code}\nassert f({input}) == ??\n\n"
    "Run it in your head. Give the value, as a Python literal, between [ANSWER] and [/ANSWER]."
)


def parse(row: Mapping[str, Any], index: int) -> Item:
    """Parse a row; `index` is the id of a row without one."""
    turn = PROMPT.format(code=str(row["code"]).rstrip(), input=row["input"])
    return Item("crux", str(row.get("id", index)), "", (turn,), str(row["output"]), "literal")
