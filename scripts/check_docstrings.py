"""Check of docstrings: `python -m scripts.check_docstrings [PATH ...]` lists those that begin with a question word.

A first line says what the thing is: a noun phrase or an imperative, not "What ...", "Whether ..." and so on.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from serving.command_line import CommandLine

PACKAGES = ("serving", "deployments", "evaluation", "loadtest", "models", "training", "scripts", "examples")
QUESTION_WORDS = frozenset({"what", "whether", "who", "where", "which", "when", "how"})


def violations(source: str) -> Iterator[tuple[int, str]]:
    """Yield line number and first line of each docstring in `source` that begins with a question word."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node)
        if docstring and begins_with_question_word(docstring):
            yield node.body[0].lineno, docstring.splitlines()[0]


def begins_with_question_word(docstring: str) -> bool:
    """Return True for "Whether it ..." and "What's ...", False for "Whatever" and "However"."""
    word = docstring.split()[0].lower()
    letters = "".join(letter if letter.isalpha() else " " for letter in word).split()
    return bool(letters) and letters[0] in QUESTION_WORDS


def python_files(paths: Iterable[str]) -> Iterator[Path]:
    """Yield the Python files at and below `paths`."""
    for path in map(Path, paths):
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def main(arguments: Sequence[str]) -> int:
    """Print each violation as `path:line: first line`; return 1 if there is one."""
    parser = CommandLine(prog="python -m scripts.check_docstrings", description=__doc__)
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", default=PACKAGES, help=f"files and folders; default: {', '.join(PACKAGES)}"
    )
    given = parser.parse_args(arguments)
    if missing := [path for path in given.paths if not Path(path).exists()]:
        parser.error(f"there is no file or folder '{missing[0]}'")
    found = [
        f"{path}:{line}: {text}"
        for path in python_files(given.paths)
        for line, text in violations(path.read_text(encoding="utf-8"))
    ]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
