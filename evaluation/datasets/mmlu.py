"""MMLU-style multiple choice (arXiv 2009.03300): rows of question, choices, answer (an index or a letter), subject."""

from collections.abc import Mapping
from typing import Any

from evaluation.items import Item

FIELDS = frozenset({"question", "choices", "answer"})
LETTERS = "ABCDEFGHIJ"
PROMPT = "{question}\n\n{choices}\n\nAnswer with the letter of the right choice, as in 'Answer: C'."


def parse(row: Mapping[str, Any], index: int) -> Item:
    """Parse a row; `index` is the id of a row without one."""
    options = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, row["choices"], strict=False)]
    answer = LETTERS[row["answer"]] if isinstance(row["answer"], int) else str(row["answer"]).strip().upper()
    if answer not in LETTERS[: len(options)]:
        raise ValueError(f"the answer {row['answer']!r} is not one of the {len(options)} choices")
    turn = PROMPT.format(question=row["question"], choices="\n".join(options))
    name, skill = str(row.get("id", index)), str(row.get("subject", ""))
    return Item("mmlu", name, skill, (turn,), answer, "choice")
