"""AlpacaEval-style open questions (arXiv 2404.04475)."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Id, Text
from evaluation.items import Item


class AlpacaEval(DatasetRow):
    """Open questions, as AlpacaEval has them. `judge --baseline dataset` compares answers with `output`."""

    kind = "alpaca_eval"
    scored_by = "a judge"
    example = {"instruction": "Say hello in French.", "output": "Bonjour!", "generator": "base", "dataset": "helpful"}
    unused = frozenset({"generator", "datasplit"})

    instruction: Text = Field(description="the question")
    input: str | None = Field(default=None, description="more of the question, put below it")
    output: str | None = Field(default=None, description="the baseline's answer: a text")
    dataset: str = Field(default="", description="part of the dataset, for the tables")
    instruction_difficulty: float | None = Field(
        default=None, description="a number that enters the length-controlled win rate"
    )
    id: Id | None = Field(default=None, description="default: the number of the row")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        return "instruction" in row and "skill" not in row  # a column of FLASK

    def item(self, number: int) -> Item:
        turn = self.instruction + (f"\n\n{self.input}" if self.input else "")
        name, difficulty = self.id or str(number), self.instruction_difficulty
        return Item(self.kind, name, self.dataset, (turn,), baseline=self.output, difficulty=difficulty)
