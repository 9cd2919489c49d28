"""Scorer of Python programs: the answer's code passes the tests of the question, as in HumanEval and MBPP.

The right answer is a Python program that raises if the code is wrong. The code stands in front of it, or in the place
of its line `PLACE`. Only `evaluation.scoring.score_program` runs it, in the sandbox.
"""

import re
import warnings

from evaluation.errors import EvaluationError

PLACE = "# <the code of the answer>"
PYTHON = ("", "python", "python3", "py", "py3")  # languages of a fenced block
_BLOCK = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.DOTALL | re.MULTILINE
)
_DEFINES = re.compile(r"^(?:async def|def|class)\b", re.MULTILINE)
_BEGINS = re.compile(
    r"(?:async def|def)\s+\w+\s*\(|class\s+\w+\s*[:(]|import\s+[\w.]+\s*(?:$|,|as\s|#)|from\s+[\w.]+\s+import\s|@\w"
)
_CONTINUES = re.compile(  # at the beginning of a line of code, not of a sentence
    r"\s|#|@\w|[)\]}]|[\w.]+\(|\w[\w.\[\]'\", ]*(?::[^=]*)?[-+*/|&]?=(?!=)|(?:try|else|finally|except)\s*:"
    r"|(?:if|elif|for|while|with|except|return|raise|assert|del)\s+[\w(\[{\"'-]"
)
INDENT = "    "


def extract(text: str) -> str | None:
    """Return the code of an answer; `None` if it is blank.

    It is the last fenced block of Python that defines a function or class, or else the last one; without a block, the
    lines of code in the text. The indentation stays: a code may be the body of a function.
    """
    blocks = [_dedented(code) for language, code in _BLOCK.findall(text) if language.lower() in PYTHON]
    defining = [code for code in blocks if _DEFINES.search(code)]
    found = (defining or blocks or [_code_lines(text)])[-1]
    return found.rstrip() if found.strip() else None


def same(extracted: str, reference: str) -> float:
    """Refuse: only `score_program` runs programs."""
    raise EvaluationError(
        "The scorer 'code' runs programs that a model wrote, which is not allowed here: use 'evaluation run"
        " --run-programs', or the task reward 'code' of the training."
    )


def program_of(text: str, reference: str) -> str:
    """Return the program that decides about an answer: it ends without an exception if the answer is right."""
    code = extract(text) or ""
    before, place, tests = reference.partition(PLACE)
    if not place:
        return f"{code}\n\n{reference}\n"
    ways = (code, *_as_body(code), f"{INDENT}pass\n{code}")
    fitting = next((way for way in ways if _compiles(before + way)), code)
    return f"{before}{fitting}\n{tests}"


def _dedented(code: str) -> str:
    """Remove the indentation of the code's first line from all lines that have it: a block may stand in a list."""
    first = next((line for line in code.split("\n") if line.strip()), "")
    if not _BEGINS.match(first.lstrip()):
        return code  # perhaps the body of a function
    margin = first[: len(first) - len(first.lstrip())]
    return "\n".join(line.removeprefix(margin) for line in code.split("\n"))


def _code_lines(text: str) -> str:
    """Lines from the first definition or import to the last line of code; the whole text if there is none."""
    lines = text.split("\n")
    start = next((place for place, line in enumerate(lines) if _BEGINS.match(line)), None)
    if start is None:
        return text
    end = next((place for place in range(start, len(lines)) if not _is_code(lines[place])), len(lines))
    return "\n".join(lines[start:end])


def _is_code(line: str) -> bool:
    return not line or bool(_BEGINS.match(line) or _CONTINUES.match(line))


def _as_body(code: str) -> tuple[str, str]:
    """The code as the body of a function: with its first line indented, and with every line indented."""
    first = code.lstrip("\n")
    return INDENT + first, "\n".join(INDENT + line if line.strip() else line for line in first.split("\n"))


def _compiles(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as "\\d"
            compile(source, "<answer>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
