"""Scorer of Python programs: the answer's code passes the tests of the question, as in HumanEval and MBPP.

The right answer is a Python program that raises if the code is wrong. The code stands in front of it, or in the place
of its line `PLACE`. Only `evaluation.scoring.score_program` runs it, in the sandbox.
"""

import re
import symtable
import warnings

from evaluation.errors import EvaluationError

PLACE = "# <the code of the answer>"
PYTHON = ("", "python", "python3", "py", "py3")  # languages of a fenced block
_BLOCK = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.DOTALL | re.MULTILINE
)
_DEFINES = re.compile(r"^(?:async def|def|class)\b", re.MULTILINE)
_NAME = re.compile(r"^(?:async\s+)?def\s+(\w+)", re.MULTILINE)
_BEGINS = re.compile(
    r"(?:async def|def)\s+\w+\s*\(|class\s+\w+\s*[:(]|import\s+[\w.]+\s*(?:$|,|as\s|#)|from\s+[\w.]+\s+import\s|@\w"
)
_CONTINUES = re.compile(  # at the beginning of a line of code, not of a sentence
    r"\s|#|@\w|[)\]}]|[\w.]+\(|\w[\w.\[\]'\", ]*(?::[^=]*)?[-+*/|&]?=(?!=)|(?:try|else|finally|except)\s*:"
    r"|(?:if|elif|for|while|with|except|return|raise|assert|del)\s+[\w(\[{\"'-]"
)
_CONSTANT = re.compile(r"[A-Za-z_]\w*\s*(?::[^=]*)?=(?!=)")
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
        "The scorer 'code' runs programs that a model wrote, which is not allowed here: use a command with the option"
        " --run-programs."
    )


def program_of(code: str, reference: str) -> str:
    """Return the program that decides about an answer's code: it ends without an exception if the code is right.

    At `PLACE` the function before it is open: code that defines this function again, at its top level, ends it with
    `pass`; any other code is its body. Code that fits in neither way is inserted as it is.
    """
    before, place, tests = reference.partition(PLACE)
    if not place:
        return f"{code}\n\n{reference}\n"
    whole, body = (code, f"{INDENT}pass\n{code}"), _as_body(code)
    names = _NAME.findall(before)
    ways = (*whole, *body) if names and _defines(code, names[-1]) else (*body, *whole)
    fitting = next((way for way in ways if _compiles(before + way)), code)
    return f"{before}{fitting}\n{tests}"


def _defines(code: str, name: str) -> bool:
    """True if the code is a module that binds `name` at its top level, not in a function or a class."""
    if not _compiles(code):
        return False
    table = symtable.symtable(code, "<answer>", "exec")
    return name in table.get_identifiers() and (table.lookup(name).is_assigned() or table.lookup(name).is_imported())


def _dedented(code: str) -> str:
    """Remove the indentation of the code's first line from all lines that have it: a block may stand in a list.

    Code that only runs as the body of a function keeps it.
    """
    first = next((line for line in code.split("\n") if line.strip()), "")
    margin = first[: len(first) - len(first.lstrip())]
    moved = "\n".join(line.removeprefix(margin) for line in code.split("\n"))
    return moved if margin and (_BEGINS.match(first.lstrip()) or _compiles(moved)) else code


def _code_lines(text: str) -> str:
    """Lines of code around the first definition or import; the whole text if it is Python, or if there is none."""
    lines = text.split("\n")
    start = next((place for place, line in enumerate(lines) if _BEGINS.match(line)), None)
    if start is None or _compiles(text) or any(_compiles(f"def _():\n{body}") for body in _as_body(text)):
        return text
    end = next((place for place in range(start, len(lines)) if not _is_code(lines[place])), len(lines))
    while start and _may_precede(lines[start - 1]):
        start -= 1
    return "\n".join(lines[start:end]).lstrip("\n")


def _may_precede(line: str) -> bool:
    """True for blank lines and constants above the first definition."""
    return not line or bool(_CONSTANT.match(line) and _compiles(line))


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
