"""MMLU-style multiple choice (arXiv 2009.03300)."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, StrictInt, model_validator

from evaluation.datasets.base import DatasetRow, Id, Text
from evaluation.datasets.choices import LETTERS, Choices, choice_item, index_of
from evaluation.items import Item


class Mmlu(DatasetRow):
    """Multiple choice, as MMLU has it: with up to ten choices."""

    kind = "mmlu"
    scored_by = "choice"
    example = {"question": "Which is a prime?", "choices": ["4", "6", "7", "9"], "answer": 2, "subject": "mathematics"}

    question: Text = Field(description="the question")
    choices: Choices = Field(
        description="the choices: a list, a text with a list, an object by letter, or columns `A`, `B`, ..."
    )
    answer: StrictInt | str = Field(description="the right choice: its index from 0, its letter, or its text")
    subject: str = Field(default="", description="the subject")
    id: Id | None = Field(default=None, description="default: the number of the row")

    @model_validator(mode="before")
    @classmethod
    def _columns(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "choices" not in given and {"A", "B"} <= given.keys():
            columns = {letter: given[letter] for letter in LETTERS if letter in given}
            return {name: value for name, value in given.items() if name not in columns} | {"choices": columns}
        return given

    @classmethod
    def known(cls) -> frozenset[str]:
        return super().known() | frozenset(LETTERS)

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        fits = {"question", "answer"} <= row.keys() and ("choices" in row or {"A", "B"} <= row.keys())
        return fits and "error_type" not in row

    def item(self, number: int) -> Item:
        right = index_of(self.answer, self.choices)
        return choice_item(self.kind, self.id or str(number), self.subject, self.question, self.choices, [right])
