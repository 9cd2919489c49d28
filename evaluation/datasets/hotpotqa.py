"""HotpotQA (arXiv 1809.09600): questions over several paragraphs."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from evaluation.datasets.base import DatasetRow, Id, Text, Value
from evaluation.datasets.qa import question_with
from evaluation.items import Item
from serving.config import Frozen

TWO_WIKI = ("evidences", "entity_ids")  # columns of 2WikiMultihopQA, which has this format, that HotpotQA lacks


class Paragraphs(Frozen):
    """Titles, and the sentences under each of them."""

    title: tuple[str, ...]
    sentences: tuple[tuple[str, ...], ...]


class HotpotQa(DatasetRow):
    """Questions over paragraphs, as HotpotQA has them, in the form of its files or of Hugging Face.

    The model sees all paragraphs. `exact` is the dataset's EM and `--scorer f1` its F1, both of the answer alone.
    """

    kind = "hotpotqa"
    scored_by = "exact"
    example = {
        "id": "5a7a06935542990198eaf050",
        "question": "Which of the two magazines is older, Alpha or Beta?",
        "answer": "Alpha",
        "type": "comparison",
        "level": "medium",
        "supporting_facts": {"title": ["Alpha", "Beta"], "sent_id": [0, 0]},
        "context": {"title": ["Alpha", "Beta"], "sentences": [["Alpha began in 1844."], ["Beta began in 1989."]]},
    }
    names = {"_id": "id"}
    unused = frozenset({"supporting_facts", "level"})

    question: Text = Field(description="the question")
    answer: Value = Field(description="the right answer")
    context: Paragraphs = Field(description="an object with the lists `title` and `sentences`, or pairs of both")
    type: str = Field(default="", description="part of the dataset, for the tables")
    id: Id | None = Field(default=None, description="also named `_id`; default: the number of the row")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        own = cls.required() | {"supporting_facts"} <= row.keys() and not isinstance(row["answer"], dict)
        return own and not any(name in row for name in TWO_WIKI)

    @model_validator(mode="before")
    @classmethod
    def _pairs(cls, given: Any) -> Any:
        context = given.get("context") if isinstance(given, Mapping) else None
        if isinstance(context, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in context):
            pairs = {"title": [title for title, _ in context], "sentences": [lines for _, lines in context]}
            return {**given, "context": pairs}
        return given

    def item(self, number: int) -> Item:
        titles, sentences = self.context.title, self.context.sentences
        if len(titles) != len(sentences):
            raise ValueError(f"'context' has {len(titles)} titles, but {len(sentences)} lists of sentences")
        paragraphs = [f"{title}: {''.join(lines)}" for title, lines in zip(titles, sentences, strict=True)]
        turn = question_with("\n\n".join(paragraphs), self.question)
        return Item(self.kind, self.id or str(number), self.type, (turn,), self.answer, "exact")
