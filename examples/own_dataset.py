"""A dataset kind and a scorer of one's own: questions about quantities, right within a tenth of the value.

With the server running:
python -m evaluation run --kind examples.own_dataset:Estimate --dataset FILE.jsonl --recipes moa-lite --out build/own
"""

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Text
from evaluation.items import Item
from evaluation.scoring import number


class Estimate(DatasetRow):
    """Questions about quantities."""

    kind = "estimate"

    question: Text = Field(description="the question")
    value: float = Field(gt=0, description="the right value")
    unit: str = Field(description="its unit")

    def item(self, number: int) -> Item:
        turn = f"{self.question}\n\nAnswer with one number, in {self.unit}."
        return Item(self.kind, str(number), self.unit, (turn,), str(self.value), "examples.own_dataset:Close")


class Close:
    """Right within a tenth of the value."""

    def extract(self, text: str) -> str | None:
        return number.extract(text)

    def same(self, extracted: str, reference: str) -> float:
        given, right = number.value(extracted), number.value(reference)
        return float(given is not None and right is not None and abs(given - right) <= right / 10)
