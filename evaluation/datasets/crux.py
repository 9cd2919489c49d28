"""CRUXEval's output prediction (arXiv 2401.03065)."""

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Id, Text
from evaluation.items import Item

PROMPT = (
    "Here is a Python function and an assertion that lacks its right side.\n\n{code}\nassert f({input}) == ??\n\n"
    "Run it in your head. Give the value, as a Python literal, between [ANSWER] and [/ANSWER]."
)


class Crux(DatasetRow):
    """Python functions of which the output is to be predicted, as CRUXEval has them."""

    kind = "crux"
    scored_by = "literal"
    example = {"code": "def f(x):\n    return x + [1]", "input": "[0]", "output": "[0, 1]", "id": "sample_0"}

    code: Text = Field(description="a function `f`")
    input: str = Field(description="its arguments, as Python source")
    output: Text = Field(description="its value, as Python source: a text, not a list")
    id: Id | None = Field(default=None, description="default: the number of the row")

    def item(self, number: int) -> Item:
        turn = PROMPT.format(code=self.code.rstrip(), input=self.input)
        return Item(self.kind, self.id or str(number), "", (turn,), self.output, "literal")
