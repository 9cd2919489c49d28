"""Search of the source for texts of foreign exceptions in messages and logs.

A foreign exception is one whose class this source tree does not define. Its text may hold a key, a path or another
caller's data. So it may be asked for its type and its attributes, raised again, and given to functions that declare a
parameter for an exception, which are searched as well; nothing else. `serving/failures.py`, where logs and messages are
made of exceptions, is the only exception.
"""

import ast
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# `put`: raised elsewhere; `error_body`: a function of this tree
ALLOWED = frozenset(("said", "log_exception", "engine_failure", "isinstance", "type", "put", "error_body"))
TEXTS = frozenset(("args", "message", "msg", "add_note", "with_traceback"))  # attributes that hold the text
EXCEPTION = re.compile(r"(Error|Exception|Timeout|InvalidURL)\b")


@dataclass
class Tree:
    """Parsed source files, with the classes and functions that they define."""

    files: dict[Path, ast.Module]
    own: set[str] = field(default_factory=set)
    takers: set[str] = field(default_factory=set)  # functions that declare a parameter for an exception

    def __post_init__(self) -> None:
        for module in self.files.values():
            for node in ast.walk(module):
                if isinstance(node, ast.ClassDef):
                    self.own.add(node.name)
        for module in self.files.values():
            for node in ast.walk(module):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and list(_declared(node, set())):
                    self.takers.add(node.name)


def read(folders: Iterable[Path], without: Container[Path]) -> Tree:
    """Parse all Python files below `folders`, except one."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py")) if path not in without]
    return Tree({path: ast.parse(path.read_text(encoding="utf-8")) for path in paths})


def findings(tree: Tree) -> Iterator[str]:
    """`path:line: what` for each text of a foreign exception that is used."""
    for path, module in tree.files.items():
        parents = {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(module):
            for line, what in _of(node, parents, tree):
                yield f"{path}:{line}: {what}"


def _of(node: ast.AST, parents: Mapping[ast.AST, ast.AST], tree: Tree) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if (name == "exception" and node.args) or name in ("format_exc", "format_exception", "print_exc", "exc_info"):
            yield node.lineno, f"{name}() writes the exception's text: use log_exception"
        if any(keyword.arg == "exc_info" for keyword in node.keywords):
            yield node.lineno, "exc_info writes the exception's text: use log_exception"
    names: Iterable[str] = ()
    if isinstance(node, ast.ExceptHandler) and node.name and _is_foreign(node.type, tree.own):
        names = (node.name,)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        names = _declared(node, tree.own)
    for name in names:
        for inner in ast.walk(node):
            read = isinstance(inner, ast.Name) and inner.id == name and isinstance(inner.ctx, ast.Load)
            if read and not _is_harmless(inner, parents, tree):
                yield inner.lineno, f"the text of '{name}' is used: {ast.unparse(parents[inner])[:80]}"


def _is_foreign(kind: ast.expr | None, own: set[str]) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(one is None or ast.unparse(one).rpartition(".")[2] not in own for one in kinds)


def _declared(function: ast.FunctionDef | ast.AsyncFunctionDef, own: set[str]) -> Iterator[str]:
    """Parameters for an exception that may be foreign."""
    arguments = function.args
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if one.annotation is None or isinstance(one.annotation, ast.Constant):
            continue
        declared = [part.strip().rpartition(".")[2] for part in ast.unparse(one.annotation).split("|")]
        if any(EXCEPTION.search(part) and "[" not in part and part not in own for part in declared):
            yield one.arg


def _is_harmless(name: ast.Name, parents: Mapping[ast.AST, ast.AST], tree: Tree) -> bool:
    parent = parents[name]
    match parent:
        case ast.Attribute(attr=attribute):
            return attribute not in TEXTS
        case ast.Raise() | ast.Match() | ast.Return() | ast.IfExp() | ast.BoolOp() | ast.If() | ast.Compare():
            return True
        case ast.keyword():
            parent = parents[parent]
    if _is_narrowed(name, parents, tree):
        return True
    if isinstance(parent, ast.Call):
        if getattr(parent.func, "id", "") == "getattr" and isinstance(parent.args[1], ast.Constant):
            return parent.args[1].value not in TEXTS
        called = parent.func.attr if isinstance(parent.func, ast.Attribute) else getattr(parent.func, "id", "")
        return called in ALLOWED | tree.takers
    return False


def _is_narrowed(name: ast.Name, parents: Mapping[ast.AST, ast.AST], tree: Tree) -> bool:
    """True where an `isinstance` around the name says that it is of this tree."""
    inner: ast.AST = name
    while (outer := parents.get(inner)) is not None:
        if isinstance(outer, ast.If | ast.IfExp) and inner is not outer.test:
            body = outer.body if isinstance(outer.body, list) else [outer.body]
            match outer.test:
                case ast.Call(func=ast.Name("isinstance"), args=[ast.Name(id=known), kind]) if known == name.id:
                    if inner in body and ast.unparse(kind) in tree.own:
                        return True
        inner = outer
    return False
