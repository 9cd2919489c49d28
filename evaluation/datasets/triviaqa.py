"""TriviaQA (arXiv 1705.03551): trivia questions with all names of the answer."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field

from evaluation.datasets.base import DatasetRow, Id, Text
from evaluation.datasets.qa import question_with
from evaluation.items import Item
from serving.config import Frozen

UNKNOWN = "<unk>"  # the answers of the test split are not published


class Answer(Frozen):
    """The answer and its other names."""

    model_config = ConfigDict(extra="ignore")

    value: Text
    aliases: tuple[Text, ...] = ()


class TriviaQa(DatasetRow):
    """Trivia questions, as TriviaQA has them: any name of the answer is right. Its documents are not shown."""

    kind = "triviaqa"
    scored_by = "exact"
    example = {
        "question": "Which river flows through Paris?",
        "question_id": "tc_1",
        "question_source": "http://example.org/",
        "entity_pages": {"title": []},
        "search_results": {"title": []},
        "answer": {"value": "Seine", "aliases": ["Seine", "River Seine"], "type": "WikipediaEntity"},
    }
    names = {"question_id": "id"}
    unused = frozenset({"question_source", "entity_pages", "search_results"})

    question: Text = Field(description="the question")
    answer: Answer = Field(description="an object with `value` and `aliases`, the further right answers")
    id: Id | None = Field(default=None, description="also named `question_id`; default: the number of the row")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        return cls.required() <= row.keys() and isinstance(row["answer"], dict) and "value" in row["answer"]

    def item(self, number: int) -> Item:
        if self.answer.value == UNKNOWN:
            raise ValueError("'answer' is not published for this split; take the validation split")
        right = dict.fromkeys((self.answer.value, *self.answer.aliases))
        turn = question_with("", self.question)
        accepted = tuple(right)[1:]
        return Item(self.kind, self.id or str(number), "", (turn,), self.answer.value, "exact", accepted=accepted)
