"""MT-Bench-style conversations (arXiv 2306.05685)."""

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Id, Text
from evaluation.items import Item


class MtBench(DatasetRow):
    """Conversations of several turns, as MT-Bench has them; each turn follows the arm's own answers.

    `judge --grade` rates every turn.
    """

    kind = "mt_bench"
    scored_by = "a judge"
    example = {
        "question_id": 81,
        "category": "writing",
        "turns": ["Write a line about rain.", "Now make it rhyme."],
        "reference": [],
    }
    names = {"question_id": "id"}

    turns: tuple[Text, ...] = Field(min_length=1, description="the user's messages: a list of texts")
    category: str = Field(default="", description="part of the dataset, for the tables")
    reference: tuple[str, ...] = Field(default=(), description="a right answer per turn, shown to the judge")
    id: Id | None = Field(default=None, description="also named `question_id`; default: the number of the row")

    def item(self, number: int) -> Item:
        if len(self.reference) > len(self.turns):
            raise ValueError(f"'reference' has {len(self.reference)} entries, but 'turns' {len(self.turns)}")
        return Item(self.kind, self.id or str(number), self.category, self.turns, references=self.reference)
