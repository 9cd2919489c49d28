"""Questions with retrieved passages, in the format of DPR (arXiv 2004.04906) and FiD (arXiv 2007.01282)."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from evaluation.datasets.base import DatasetRow, Id, Text, Value, listed
from evaluation.datasets.qa import question_with
from evaluation.items import Item
from serving.config import Frozen


class Passage(Frozen):
    """A retrieved passage."""

    model_config = ConfigDict(extra="ignore")

    title: str | None = None
    text: Text


class Passages(DatasetRow):
    """Questions with retrieved passages, as retrievers write them for DPR's and FiD's readers.

    The model sees all passages in their order, with their titles. `exact` is the EM of these papers; `contains` is
    often used for models that answer in sentences.
    """

    kind = "passages"
    scored_by = "exact"
    example = {
        "id": "0",
        "question": "Which river flows through Paris?",
        "target": "Seine",
        "answers": ["Seine", "the Seine"],
        "ctxs": [
            {"id": "wiki:1", "title": "Paris", "text": "Paris lies on the Seine.", "score": "81.2", "has_answer": True}
        ],
    }
    unused = frozenset({"target"})

    question: Text = Field(description="the question")
    answers: Annotated[tuple[Value, ...], BeforeValidator(listed)] = Field(
        min_length=1, description="the right answers: a list"
    )
    ctxs: Annotated[tuple[Passage, ...], BeforeValidator(listed)] = Field(
        description="the passages: a list of objects with `title` and `text`"
    )
    id: Id | None = Field(default=None, description="default: the number of the row")

    def item(self, number: int) -> Item:
        context = "\n\n".join(f"{one.title}: {one.text}" if one.title else one.text for one in self.ctxs)
        right = tuple(dict.fromkeys(self.answers))
        turn = question_with(context, self.question)
        name = self.id or str(number)
        return Item(self.kind, name, "", (turn,), right[0], self.scored_by, accepted=right[1:])
