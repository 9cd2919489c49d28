"""The embedded trio's held-out questions: `models/tiny/heldout.jsonl`, rows of id, skill, question and answer."""

from collections.abc import Mapping
from typing import Any

from evaluation.items import Item

FIELDS = frozenset({"id", "skill", "question", "answer"})


def parse(row: Mapping[str, Any], index: int) -> Item:
    """Parse a row."""
    return Item("tiny", str(row["id"]), str(row["skill"]), (str(row["question"]),), str(row["answer"]), "exact")
