"""GSM8K-style word problems (arXiv 2110.14168): rows of question and a worked answer that ends in `#### 42`.

Only the final numbers are compared.
"""

from collections.abc import Mapping
from typing import Any

from evaluation.items import Item

FIELDS = frozenset({"question", "answer"})
PROMPT = "{question}\n\nWork step by step. End with a line of the form '#### NUMBER' that holds the answer alone."


def parse(row: Mapping[str, Any], index: int) -> Item:
    """Parse a row; `index` is the id of a row without one."""
    answer = str(row["answer"]).rpartition("####")[2].strip()
    turn = PROMPT.format(question=row["question"])
    return Item("gsm8k", str(row.get("id", index)), str(row.get("skill", "")), (turn,), answer, "number")
