"""MMLU-Pro (arXiv 2406.01574): multiple choice with up to ten options."""

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Id, Text
from evaluation.datasets.choices import Choices, choice_item, index_of
from evaluation.items import Item

PADDING = "N/A"  # earlier versions of the file fill up to ten options with it


class MmluPro(DatasetRow):
    """Multiple choice with up to ten options, as MMLU-Pro has it."""

    kind = "mmlu_pro"
    scored_by = "choice"
    example = {
        "question_id": 70,
        "question": "Which is a prime?",
        "options": ["4", "6", "7", "9", "10"],
        "answer": "C",
        "answer_index": 2,
        "cot_content": "",
        "category": "math",
        "src": "ori_mmlu",
    }
    names = {"question_id": "id"}
    unused = frozenset({"cot_content", "src"})

    question: Text = Field(description="the question")
    options: Choices = Field(description="the options, as `choices` of `mmlu`")
    answer: Text = Field(description="the letter of the right option")
    answer_index: int | None = Field(default=None, description="its index from 0; must agree with `answer`")
    category: str = Field(default="", description="the subject")
    id: Id | None = Field(default=None, description="also named `question_id`; default: the number of the row")

    def item(self, number: int) -> Item:
        right = index_of(self.answer, self.options)
        if self.answer_index is not None and self.answer_index != right:
            raise ValueError(f"'answer' is '{self.answer}', but 'answer_index' is {self.answer_index}")
        options = list(self.options)
        while options[-1] == PADDING and len(options) > right + 1:
            options.pop()
        return choice_item(self.kind, self.id or str(number), self.category, self.question, options, [right])
