"""MT-Bench-style conversations (arXiv 2306.05685): rows of question_id, category, turns and, optionally, reference.

The second turn follows the arm's own first answer. `python -m evaluation judge --grade` rates every turn.
"""

from collections.abc import Mapping
from typing import Any

from evaluation.items import Item

FIELDS = frozenset({"turns"})


def parse(row: Mapping[str, Any], index: int) -> Item:
    """Parse a row; `index` is the id of a row without one."""
    turns = tuple(str(turn) for turn in row["turns"])
    if not turns:
        raise ValueError("turns is empty")
    return Item(
        "mt_bench",
        str(row.get("question_id", index)),
        str(row.get("category", "")),
        turns,
        references=tuple(str(text) for text in row.get("reference") or ()),
    )
