"""Questions that are sent as they are, as the embedded trio's held-out questions: `models/tiny/heldout.jsonl`."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Id, Text, Value
from evaluation.items import Item


class Tiny(DatasetRow):
    """Questions with a short answer, sent without a further instruction, as the trio's held-out questions have them."""

    kind = "tiny"
    scored_by = "exact"
    example = {"id": "facts-001", "skill": "facts", "question": "What is the capital of Peru?", "answer": "Lima"}

    id: Id = Field(description="a name of the question")
    skill: str = Field(description="part of the dataset, for the tables")
    question: Text = Field(description="the question")
    answer: Value = Field(description="the right answer")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        return row.keys() == cls.required() and "####" not in str(row["answer"])

    def item(self, number: int) -> Item:
        return Item(self.kind, self.id, self.skill, (self.question,), self.answer, "exact")
