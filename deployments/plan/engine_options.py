"""Names of vLLM's engine options, read from the installed vllm's source: importing vllm takes seconds.

The names are the fields of vLLM's `AsyncEngineArgs` (vllm/engine/arg_utils.py). Without vllm, as on a laptop that only
plans, they are unknown and options are not checked.
"""

import ast
import importlib.util
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from deployments.config import ModelSpec
from serving.errors import ConfigError

CLASSES = ("EngineArgs", "AsyncEngineArgs")  # the second extends the first


@cache
def engine_option_names() -> frozenset[str]:
    """Every option of the installed vLLM; empty if vllm is not installed."""
    spec = importlib.util.find_spec("vllm")  # finds a top-level package without importing it
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    source = Path(spec.submodule_search_locations[0], "engine", "arg_utils.py")
    return frozenset(_fields(source.read_text(encoding="utf-8"))) if source.is_file() else frozenset()


def _fields(source: str) -> Iterator[str]:
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ClassDef) and statement.name in CLASSES:
            for member in statement.body:
                if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                    yield member.target.id


def check_engine_options(model: ModelSpec) -> None:
    """Raise `ConfigError` if `engine_kwargs` has an option that vLLM does not know; without vllm, check nothing."""
    known = engine_option_names()
    for name in model.engine_kwargs:
        if known and name not in known:
            similar = get_close_matches(name, known, 1)
            raise ConfigError(
                f"vLLM has no option '{name}' (engine_kwargs of '{model.id}'); "
                + (f"write {similar[0]}, or remove it." if similar else "remove it.")
            )
