"""MBPP (arXiv 2108.07732): short Python programs from a sentence, checked by running assertions."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from evaluation.datasets.base import DatasetRow, Id, Text, listed
from evaluation.items import Item

PROMPT = (
    "{task}\n\nThe code must pass these tests:\n\n```python\n{tests}\n```\n\n"
    "Answer with the whole code, with the imports that it needs, in one block that begins with ```python."
)
Lines = Annotated[tuple[str, ...], BeforeValidator(listed)]


class Mbpp(DatasetRow):
    """Python programs from a sentence, as MBPP has them, in its full and its sanitized form: pass@1 by running tests.

    The model sees the task and the tests. The program is the answer's code, `test_imports`, `test_setup_code` and
    `test_list`; it is right if it ends without an exception. `challenge_test_list` is not used, as in the paper's
    main results. Needs `--run-programs`.
    """

    kind = "mbpp"
    scored_by = "code"
    example = {
        "text": "Write a function to double a number.",
        "code": "def double(x):\n    return 2 * x",
        "task_id": 11,
        "test_setup_code": "",
        "test_list": ["assert double(2) == 4", "assert double(0) == 0"],
        "challenge_test_list": [],
    }
    names = {"text": "prompt", "task_id": "id"}
    unused = frozenset({"code", "challenge_test_list", "source_file"})

    prompt: Text = Field(description="the task; also named `text`")
    test_list: Annotated[tuple[Text, ...], BeforeValidator(listed)] = Field(
        min_length=1, description="a list of assertions, each a line of Python"
    )
    test_imports: Lines = Field(default=(), description="a list of imports that the tests need")
    test_setup_code: str = Field(default="", description="Python that stands before the tests")
    id: Id | None = Field(default=None, description="also named `task_id`; default: the number of the row")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        return {"code", "test_list"} <= row.keys() and ("text" in row or "prompt" in row)

    def item(self, number: int) -> Item:
        tests = "\n".join(part for part in (*self.test_imports, self.test_setup_code, *self.test_list) if part.strip())
        turn = PROMPT.format(task=self.prompt.strip(), tests="\n".join(self.test_list))
        return Item(self.kind, self.id or str(number), "", (turn,), tests, self.scored_by)
