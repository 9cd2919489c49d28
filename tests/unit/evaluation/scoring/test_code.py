"""Code in answers, and the programs that decide about them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.datasets.humaneval import HumanEval
from evaluation.datasets.mbpp import Mbpp
from evaluation.errors import EvaluationError
from evaluation.sandbox import Sandbox, SandboxLimits
from evaluation.scoring import code, score, score_program
from tests.support.dataset_rows import HUMAN_EVAL, MBPP, MBPP_SANITIZED

F = "def f(x):\n    return x + 1"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"```python\n{F}\n```", F),
        (f"```Python3\n{F}\n```", F),
        (f"```py title=f.py\n{F}\n```", F),
        (f"~~~\n{F}\n~~~", F),
        (f"Sure! Here it is:\n\n```python\n{F}\n```\n\nIt adds one.", F),
        (f"```python\n{F}\n```\nRun it:\n```bash\npython f.py\n```\nOutput:\n```text\n2\n```", F),
        (f"```python\n{F}\n```\nFor example:\n```python\nprint(f(1))\n```", F),
        (f"First try:\n```python\ndef f(x):\n    pass\n```\nBetter:\n```python\n{F}\n```", F),
        ("```\na\n```\n```python\nb = 1\n```", "b = 1"),
        (f"1. Do this:\n\n   ```python\n   {F.replace(chr(10), chr(10) + '   ')}\n   ```", F),
        (f"```python\n{F}", F),  # cut off at the token limit
        (F, F),
        (f"Here is the function:\n\n{F}\n\nIt adds one to x.", F),
        (f"import math\nfrom os import path\n\n@cache\n{F}\n\nassert f(1) == 2\nThat is all.", None),
        ("    return x + 1", "    return x + 1"),
        (f"ONE = 1\n\n{F}", f"ONE = 1\n\n{F}"),
        (f"Here it is:\n\nONE = 1\n\n{F}\n\nIt adds one to x.", f"ONE = 1\n\n{F}"),
        (f"This is right\nfor all x:\n{F}", F),
        ("y = 1\ndef g(z):\n    return y\nreturn g(x)", "y = 1\ndef g(z):\n    return y\nreturn g(x)"),
        ("- So:\n  ```python\n  y = 1\n  def f(x):\n      return y\n  ```", "y = 1\ndef f(x):\n    return y"),
        ("I do not know.", "I do not know."),
        ("", None),
        ("```python\n```", None),
    ],
)
def test_code_of_an_answer(text: str, found: str | None) -> None:
    if found is None and text.startswith("import"):
        found = text.removesuffix("\nThat is all.")
    assert code.extract(text) == found


@given(st.text(max_size=200) | st.text(st.sampled_from("`~ \ndef(x): return1@='\""), max_size=80))
def test_no_text_breaks_the_extraction(text: str) -> None:
    code.extract(text)
    assert code.program_of(text, "assert True").endswith("assert True\n")
    assert code.program_of(text, f"def f():\n    'x'\n{code.PLACE}\ncheck(f)").endswith("check(f)")


def test_a_long_answer_is_read_in_linear_time() -> None:
    for piece in ("`", "```\n", "a ", "a = ", "def f(x):\n", "  ", "[" * 3):
        text = piece * (100_000 // len(piece))
        code.program_of(code.extract(text) or "", f"def f(x):\n    'x'\n{code.PLACE}\n")


def ends(program: str) -> bool:
    """True if the test's own program ends without an exception; it needs no sandbox."""
    try:
        exec(program, {})
    except Exception:
        return False
    return True


SUMS = HumanEval(
    prompt='from typing import List\n\n\ndef f(x: List[int]) -> int:\n    """ Sum. """\n',
    entry_point="f",
    test="def check(candidate):\n    assert candidate([1, 2]) == 3\n",
).item(1)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("def f(x: List[int]) -> int:\n    return sum(x)", True),  # without the import of the prompt
        ("```python\nfrom typing import List\n\ndef f(x: List[int]) -> int:\n    return sum(x)\n```", True),
        ("    return sum(x)", True),  # the body alone, as a completion
        ("return sum(x)", True),  # without its indentation
        ("total = 0\n    for one in x:\n        total += one\n    return total", True),  # only the first line lost it
        ("if not x:\n    return 0\nreturn sum(x)", True),
        ("def g(x):\n    return sum(x)\n\ndef f(x):\n    return g(x)", True),
        ("def f(x):\n    return 4", False),
        ("def g(x):\n    return sum(x)", False),
        ("", False),
        ("I cannot write code.", False),
    ],
)
def test_an_answer_to_humaneval(answer: str, right: bool) -> None:
    assert ends(code.program_of(code.extract(answer) or "", str(SUMS.answer))) is right


SORTS = HumanEval(
    prompt='def f(x):\n    """ Sort x in place. """\n',
    entry_point="f",
    test="def check(candidate):\n    x = [1, 3, 2]\n    candidate(x)\n    assert x == [3, 2, 1]\n",
).item(1)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("def key(y):\n    return -y\nx.sort(key=key)", True),  # the body: a nested function, and its use
        ("```python\n    def key(y):\n        return -y\n    x.sort(key=key)\n```", True),
        ("class Key:\n    def f(self, y):\n        return -y\nx.sort(key=Key().f)", True),
        ("def g(x):\n    def f(y):\n        return -y\n    x.sort(key=f)\n\nf = g", True),
        ("def g(x):\n    def f(y):\n        return -y\n    x.sort(key=f)", False),
        ("class Solution:\n    def f(self, x):\n        x.sort(reverse=True)", False),
        ("from functools import partial\n\nf = partial(list.sort, reverse=True)", True),
    ],
)
def test_only_a_definition_at_the_top_level_replaces_the_function(answer: str, right: bool) -> None:
    assert ends(code.program_of(code.extract(answer) or "", str(SORTS.answer))) is right


@pytest.mark.parametrize(
    ("row", "kind"),
    [(HUMAN_EVAL, HumanEval), (MBPP, Mbpp), (MBPP_SANITIZED, Mbpp)],
    ids=["HumanEval", "MBPP", "MBPP-s"],
)
def test_the_solution_of_the_dataset_passes_and_another_does_not(row: dict[str, object], kind: type) -> None:
    item = kind.model_validate(row).item(1)
    right = str(row.get("canonical_solution") or row["code"])
    assert ends(code.program_of(right, item.answer))
    assert not ends(code.program_of(right.replace("return ", "return not "), item.answer))


async def test_a_program_is_run_in_the_sandbox() -> None:
    sandbox = Sandbox(SandboxLimits())
    scored = [await score_program(text, str(SUMS.answer), sandbox) for text in ("return sum(x)", "exit(0)", " ")]
    assert [(one.score, one.extracted) for one in scored] == [(1.0, "return sum(x)"), (0.0, "exit(0)"), (0.0, None)]


def test_setup_code_stands_between_the_answer_and_the_tests() -> None:
    row = {**MBPP, "code": "class Node: ...", "test_setup_code": "root = Node()", "test_list": ["assert root"]}
    item = Mbpp.model_validate(row).item(1)
    assert code.program_of("class Node: ...", str(item.answer)) == "class Node: ...\n\nroot = Node()\nassert root\n"
    assert "root = Node()" not in item.turns[0]


def test_programs_run_only_where_that_is_allowed() -> None:
    with pytest.raises(EvaluationError, match="runs programs that a model wrote, which is not allowed here"):
        score("code", "x = 1", "assert x")
