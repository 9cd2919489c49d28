"""GSM8K-style word problems (arXiv 2110.14168)."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Id, Text, Value
from evaluation.items import Item
from evaluation.scoring import number

PROMPT = "{question}\n\nWork step by step. End with a line of the form '#### NUMBER' that holds the answer alone."


class Gsm8k(DatasetRow):
    """Word problems with a number as the answer, as GSM8K has them. Only the final numbers are compared."""

    kind = "gsm8k"
    scored_by = "number"
    example = {"question": "Ann has 3 boxes of 4 pens. How many pens?", "answer": "She has 3 * 4 = 12.\n#### 12"}

    question: Text = Field(description="the problem")
    answer: Value = Field(description="a worked answer that ends in `#### 42`, or the number alone")
    id: Id | None = Field(default=None, description="default: the number of the row")
    skill: str = Field(default="", description="part of the dataset, for the tables")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        marked = "####" in str(row.get("answer"))
        fields = {"question", "answer", "id"} | ({"skill"} if marked else set())
        return cls.required() <= row.keys() <= fields and _number(str(row["answer"])) is not None

    def item(self, number: int) -> Item:
        answer = _number(self.answer)
        if answer is None:
            raise ValueError(
                "'answer' has no number, neither after '####' nor alone; for short texts choose '--kind qa'"
            )
        turn = PROMPT.format(question=self.question)
        return Item(self.kind, self.id or str(number), self.skill, (turn,), answer, "number")


def _number(answer: str) -> str | None:
    """Return the number after the last `####`, or the whole text if it is a number."""
    _, mark, end = answer.rpartition("####")
    found = number.extract(end) if mark else end.strip()
    return found if found is not None and number.value(found) is not None else None
