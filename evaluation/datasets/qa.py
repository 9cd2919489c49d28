"""Questions with short answers: the general kind, for SQuAD's fields (arXiv 1606.05250) and for files of your own."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from evaluation.datasets.base import DatasetRow, Id, LeftOut, ScorerName, Text, Value, listed
from evaluation.datasets.tiny import Tiny
from evaluation.items import Item

INSTRUCTION = "Answer with a word or a short phrase alone, without a sentence."
WORKED = re.compile(r"####\s*[-+$]?\.?\d")  # a worked answer of GSM8K


def question_with(context: str, question: str) -> str:
    """Return the user's message: the context if there is one, the question, and the form of the answer."""
    before = f"Context:\n{context}\n\nQuestion: " if context.strip() else ""
    return f"{before}{question}\n\n{INSTRUCTION}"


def _accepted(value: Any) -> Any:
    """Texts of `answers`: a list, a text with a list, or SQuAD's object with the list `text`."""
    value = listed(value)
    return value["text"] if isinstance(value, dict) and "text" in value else value


def _is_list_of_texts(text: str) -> bool:
    try:
        found = listed(text) if text.lstrip().startswith("[") else ()
    except ValueError:
        return False
    return bool(found) and all(isinstance(part, str) for part in found)


def _context(value: Any) -> Any:
    return "\n\n".join(value) if isinstance(value, list) and all(isinstance(part, str) for part in value) else value


class Qa(DatasetRow):
    """Questions with short answers, of which several may be accepted, with or without a context: also SQuAD's rows.

    Rows of SQuAD 2.0 without an answer are left out, and `run` prints how many.
    """

    kind = "qa"
    scored_by = "exact"
    example = {
        "question": "Where is the Prado?",
        "answers": ["Madrid", "Madrid, Spain"],
        "context": "The Prado is a museum in Madrid.",
        "scorer": "contains",
    }
    unused = frozenset({"title"})

    question: Text = Field(description="the question")
    answer: Value | tuple[Value, ...] | None = Field(default=None, description="the right answer, or a list of them")
    answers: Annotated[tuple[Value, ...] | None, BeforeValidator(_accepted)] = Field(
        default=None, description="instead of `answer`: a list, or SQuAD's object with the list `text`"
    )
    context: Annotated[str | None, BeforeValidator(_context)] = Field(
        default=None, description="a text, or a list of texts, that the model sees before the question"
    )
    scorer: ScorerName = Field(default="exact", description="`exact`, `contains`, `f1`, another, or `module:Class`")
    skill: str = Field(default="", description="part of the dataset, for the tables")
    id: Id | None = Field(default=None, description="default: the number of the row")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        if "question" not in row or not row.keys() <= cls.known() or row.keys() == Tiny.required():
            return False
        answer = row.get("answer")
        worked = isinstance(answer, str) and WORKED.search(answer)
        return ("answer" in row) != ("answers" in row) and not isinstance(answer, dict) and not worked

    def item(self, number: int) -> Item:
        if (self.answer is None) == (self.answers is None):
            raise ValueError("set either 'answer' or 'answers'")
        if isinstance(self.answer, str) and _is_list_of_texts(self.answer):
            raise ValueError("'answer' is a text that holds a list; name the field 'answers' if each entry is right")
        if self.answers == ():
            raise LeftOut("without an answer")
        given = self.answers or self.answer or ()
        right = list(dict.fromkeys([given] if isinstance(given, str) else given))
        if not right:
            raise ValueError("'answer' is an empty list")
        turn = question_with(self.context or "", self.question)
        name = self.id or str(number)
        return Item(self.kind, name, self.skill, (turn,), right[0], self.scorer, accepted=tuple(right[1:]))
