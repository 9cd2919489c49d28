"""AlpacaEval-style open questions (arXiv 2404.04475): rows of instruction and output, the baseline's answer.

Only a judge can score them: `python -m evaluation judge --baseline dataset` compares answers with `output`.
The optional field `instruction_difficulty` enters the length-controlled win rate.
"""

from collections.abc import Mapping
from typing import Any

from evaluation.items import Item

FIELDS = frozenset({"instruction"})


def parse(row: Mapping[str, Any], index: int) -> Item:
    """Parse a row; `index` is the id of a row without one."""
    more = str(row.get("input") or "")
    difficulty = row.get("instruction_difficulty")
    return Item(
        "alpaca_eval",
        str(row.get("id", index)),
        str(row.get("dataset", "")),
        (str(row["instruction"]) + (f"\n\n{more}" if more else ""),),
        baseline=row.get("output"),
        difficulty=None if difficulty is None else float(difficulty),
    )
