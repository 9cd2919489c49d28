"""HumanEval (arXiv 2107.03374): Python functions to be completed, checked by running tests."""

import re

from pydantic import Field

from evaluation.datasets.base import DatasetRow, Id, Text
from evaluation.items import Item
from evaluation.scoring.code import PLACE

PROMPT = (
    "Complete this Python function:\n\n```python\n{prompt}\n```\n\n"
    "Answer with the whole function, and with the imports that it needs, in one block that begins with ```python."
)


class HumanEval(DatasetRow):
    """Python functions to be completed, as HumanEval and HumanEval+ have them: pass@1 by running the tests.

    The answer may be the whole function or its body, in a fenced block or alone. Its program is `prompt` with the
    answer's code, `test` and `check(entry_point)`; it is right if it ends without an exception. Needs
    `--run-programs`.
    """

    kind = "humaneval"
    scored_by = "code"
    example = {
        "task_id": "HumanEval/0",
        "prompt": 'def double(x: int) -> int:\n    """Return twice x."""\n',
        "entry_point": "double",
        "canonical_solution": "    return 2 * x\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
    names = {"task_id": "id"}
    unused = frozenset({"canonical_solution"})

    prompt: Text = Field(description="imports and the head of the function, with its docstring")
    entry_point: Text = Field(description="the name of the function")
    test: Text = Field(description="Python that defines `check(candidate)`, which raises if the function is wrong")
    id: Id | None = Field(default=None, description="also named `task_id`; default: the number of the row")

    def item(self, number: int) -> Item:
        if not self.entry_point.isidentifier():
            raise ValueError(f"'entry_point' is '{self.entry_point[:40]}', which is no name of a function")
        if not re.search(rf"^(async\s+)?def\s+{self.entry_point}\b", self.prompt, re.MULTILINE):
            raise ValueError(f"'prompt' does not begin the function '{self.entry_point}' of 'entry_point'")
        if not re.search(r"^def\s+check\b", self.test, re.MULTILINE):
            raise ValueError("'test' does not define 'check(candidate)'")
        tests = f"{self.prompt.rstrip()}\n{PLACE}\n\n{self.test.rstrip()}\n\ncheck({self.entry_point})\n"
        turn = PROMPT.format(prompt=self.prompt.strip("\n"))
        return Item(self.kind, self.id or str(number), "", (turn,), tests, self.scored_by)
