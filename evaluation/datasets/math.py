r"""MATH-style competition problems (arXiv 2103.03874): rows of problem and solution (or answer), subject and level.

The reference is `answer` if the row has one (MATH-500), otherwise the last `\boxed{}` of `solution`.
"""

from collections.abc import Mapping
from typing import Any

from evaluation.items import Item
from evaluation.scoring.boxed import last_boxed

FIELDS = frozenset({"problem"})
PROMPT = "{problem}\n\nWork step by step and put the final answer in \\boxed{{}}."


def parse(row: Mapping[str, Any], index: int) -> Item:
    """Parse a row; `index` is the id of a row without one."""
    answer = row.get("answer") or last_boxed(str(row["solution"]))
    if not answer:
        raise KeyError("answer")
    name = str(row.get("unique_id", row.get("id", index)))
    skill = str(row.get("subject", row.get("type", "")))
    return Item("math", name, skill, (PROMPT.format(problem=row["problem"]),), str(answer), "boxed")
