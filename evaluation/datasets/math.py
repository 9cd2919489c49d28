r"""MATH-style competition problems (arXiv 2103.03874)."""

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Id, Text, Value
from evaluation.items import Item
from evaluation.scoring.boxed import last_boxed

PROMPT = "{problem}\n\nWork step by step and put the final answer in \\boxed{{}}."


class Math(DatasetRow):
    r"""Competition problems, as MATH and MATH-500 have them.

    The right answer is `answer`, else the last `\boxed{}` of `solution`.
    """

    kind = "math"
    scored_by = "boxed"
    example = {
        "problem": "What is half of $\\frac{1}{3}$?",
        "solution": "It is $\\boxed{\\frac{1}{6}}$.",
        "level": "Level 1",
        "type": "Prealgebra",
    }
    names = {"unique_id": "id", "type": "subject"}
    unused = frozenset({"level"})

    problem: Text = Field(description="the problem")
    answer: Value | None = Field(default=None, description="the right answer in LaTeX; a number is taken, too")
    solution: Text | None = Field(default=None, description="a solution with the answer in `\\boxed{}`")
    subject: str = Field(default="", description="the subject; also named `type`")
    id: Id | None = Field(default=None, description="also named `unique_id`; default: the number of the row")

    def item(self, number: int) -> Item:
        answer = self.answer if self.answer is not None else last_boxed(self.solution or "")
        if not answer:
            raise ValueError("the row has neither 'answer' nor a '\\boxed{}' in 'solution'")
        turn = PROMPT.format(problem=self.problem)
        return Item(self.kind, self.id or str(number), self.subject, (turn,), answer, "boxed")
