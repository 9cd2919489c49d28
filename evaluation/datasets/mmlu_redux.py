"""MMLU-Redux (arXiv 2406.04127): questions of MMLU that people checked again, with corrected answers."""

import re
from collections.abc import Sequence

from pydantic import Field, StrictInt

from evaluation.datasets.base import DatasetRow, Id, LeftOut, Text
from evaluation.datasets.choices import LETTERS, Choices, choice_item, index_of
from evaluation.items import Item


class MmluRedux(DatasetRow):
    """Multiple choice with corrected answers, as MMLU-Redux has it.

    A row whose `error_type` is `wrong_groundtruth` or `multiple_correct_answers` counts with its `correct_answer`.
    Rows with another error, or without a correction that names choices, are left out, and `run` prints how many.
    """

    kind = "mmlu_redux"
    scored_by = "choice"
    example = {
        "question": "Which is a prime?",
        "choices": ["4", "6", "7", "9"],
        "answer": 0,
        "error_type": "wrong_groundtruth",
        "source": "https://example.org",
        "correct_answer": "2",
        "potential_reason": "4 is 2 * 2",
    }
    unused = frozenset({"source", "potential_reason"})

    question: Text = Field(description="the question")
    choices: Choices = Field(description="the choices, as for `mmlu`")
    answer: StrictInt | str = Field(description="MMLU's own answer, as for `mmlu`")
    error_type: Text = Field(description="`ok`, or the error that was found")
    correct_answer: int | str | None = Field(
        default=None, description="the corrected answer: an index from 0, a letter, a choice's text, or several"
    )
    subject: str = Field(default="", description="the subject")
    id: Id | None = Field(default=None, description="default: the number of the row")

    def item(self, number: int) -> Item:
        right: Sequence[int] = [index_of(self.answer, self.choices)]
        if self.error_type != "ok":
            right = self._corrected()
        return choice_item(self.kind, self.id or str(number), self.subject, self.question, self.choices, right)

    def _corrected(self) -> list[int]:
        text = str("" if self.correct_answer is None else self.correct_answer).strip()
        if self.error_type == "wrong_groundtruth":
            found = {_index(text, self.choices)}
        elif self.error_type == "multiple_correct_answers":
            parts = re.split(r"\s*(?:,|;|\band\b|\bor\b)\s*", text.strip("()[] "))
            found = {_index(part, self.choices) for part in parts if part}
        else:
            raise LeftOut(self.error_type)
        places = {place for place in found if place is not None}
        if None in found or not places:
            raise LeftOut(f"{self.error_type} without a usable correct_answer")
        return sorted(places)


def _index(text: str, choices: Sequence[str]) -> int | None:
    """Index of one corrected answer. The annotators write digits for indices, so a choice's text comes last."""
    if text.isdecimal():
        return int(text) if int(text) < len(choices) else None
    if text.upper() in LETTERS[: len(choices)] and len(text) == 1:
        return LETTERS.index(text.upper())
    return [*choices].index(text) if [*choices].count(text) == 1 else None
