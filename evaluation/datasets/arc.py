"""ARC (arXiv 1803.05457): science questions with labelled choices."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from evaluation.datasets.base import DatasetRow, Id, Text, Value
from evaluation.datasets.choices import LETTERS, choice_item
from evaluation.items import Item
from serving.config import Frozen


class Labelled(Frozen):
    """Choices as two lists of the same length."""

    text: tuple[Value, ...] = Field(min_length=2, max_length=len(LETTERS))
    label: tuple[Id, ...]


class Arc(DatasetRow):
    """Multiple choice with labels, as ARC has it; also in its first form, with the choices in `question`.

    The model sees the letters A, B, ... also where the labels are numbers.
    """

    kind = "arc"
    scored_by = "choice"
    example = {
        "id": "MCAS_2000_4_6",
        "question": "Which is a source of light?",
        "choices": {"text": ["a stone", "the sun", "a mirror", "water"], "label": ["1", "2", "3", "4"]},
        "answerKey": "2",
    }

    question: Text = Field(description="the question, or an object with `stem` and `choices`")
    choices: Labelled = Field(description="an object with the lists `text` and `label`, or a list of such objects")
    answerKey: Value = Field(description="the label of the right choice")
    id: Id | None = Field(default=None, description="default: the number of the row")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        return {"question", "answerKey"} <= row.keys() and ("choices" in row or isinstance(row["question"], dict))

    @model_validator(mode="before")
    @classmethod
    def _first_form(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        question, choices = given.get("question"), given.get("choices")
        if isinstance(question, Mapping) and "stem" in question:
            question, choices = question["stem"], question.get("choices")
        if isinstance(choices, list) and all(isinstance(choice, Mapping) for choice in choices):
            choices = {name: [choice.get(name) for choice in choices] for name in ("text", "label")}
        changed = {"question": question, "choices": choices}
        return {**given, **{name: value for name, value in changed.items() if value is not None or name in given}}

    def item(self, number: int) -> Item:
        labels = self.choices.label
        if len(labels) != len(self.choices.text):
            raise ValueError(f"'choices' has {len(self.choices.text)} texts, but {len(labels)} labels")
        if labels.count(self.answerKey) != 1:
            raise ValueError(f"'answerKey' is '{self.answerKey[:40]}', but the labels are: {', '.join(labels)}")
        right = labels.index(self.answerKey)
        return choice_item(self.kind, self.id or str(number), "", self.question, self.choices.text, [right])
