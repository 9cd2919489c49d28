"""Mistakes in the source of a custom strategy that show before it runs: unknown methods of `run`, no `return`."""

import ast
import inspect
import textwrap
from collections.abc import Iterator

from serving.recipes.base import Recipe
from serving.runtime.run import Run
from serving.suggestions import nearest

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_RUN = frozenset(dir(Run))


def source_problem(strategy: type[Recipe], file: str) -> str | None:
    """First mistake in the class's source; None if there is none, or the source is not known.

    `file` is its path, as errors show it.
    """
    try:
        lines, first = inspect.getsourcelines(strategy)
        [parsed] = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if not isinstance(parsed, ast.ClassDef):
        return None
    for method in parsed.body:
        if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        names = [argument.arg for argument in method.args.args]
        run = names[1] if method.name == "run" and len(names) > 1 else "run"
        if run in names and (wrong := next(_unknown(method, run), None)) is not None:
            alike = nearest(wrong.attr, (name for name in _RUN if not name.startswith("_")))
            hint = f"; write '{run}.{alike}'" if alike else ""
            return f"{file}, line {first + wrong.lineno - 1}: there is no '{run}.{wrong.attr}'{hint}"
        if method.name == "run" and not _ends(method):
            where = f"{file}, line {first + method.lineno - 1}"
            return f"{where}: the method 'run' returns nothing; end it with `return run.answer(...)`"
    return None


def _unknown(function: _Function, run: str) -> Iterator[ast.Attribute]:
    """Attributes of the parameter `run` that `Run` does not have; none of them if `run` is assigned another value."""
    nodes = [*_own_nodes(function, run)]
    if any(isinstance(node, ast.Name) and node.id == run and not isinstance(node.ctx, ast.Load) for node in nodes):
        return
    for node in nodes:
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == run):
            continue
        if node.attr not in _RUN and not node.attr.startswith("_"):
            yield node


def _own_nodes(function: ast.AST, run: str) -> Iterator[ast.AST]:
    """All nodes of a function, without inner functions that have a parameter of the same name."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, _Function) and any(argument.arg == run for argument in node.args.args):
            continue
        yield node
        yield from _own_nodes(node, run)


def _ends(function: ast.AST) -> bool:
    """True if a function has a `return` with a value or a `raise`, inner functions not counted."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Return) and node.value is not None):
            return True
        if not isinstance(node, _Function | ast.ClassDef) and _ends(node):
            return True
    return False
