"""Names of vLLM's engine options, parsers and models, read from its source: importing it takes seconds.

Options are the fields of vLLM's `AsyncEngineArgs` (vllm/engine/arg_utils.py); parsers are the keys of the registries
in vllm/reasoning/__init__.py and vllm/tool_parsers/__init__.py. Without vllm, as on a laptop that only
plans, they are unknown and options are not checked.
"""

import ast
import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from deployments.engine_kwargs import unknown_parser
from deployments.model_spec import ModelSpec
from deployments.task_options import SERVER_OPTIONS
from serving.errors import ConfigError
from serving.suggestions import nearest

CLASSES = ("EngineArgs", "AsyncEngineArgs")  # the second extends the first
REGISTRIES = {
    "reasoning_parser": ("reasoning", "_REASONING_PARSERS_TO_REGISTER"),
    "tool_call_parser": ("tool_parsers", "_TOOL_PARSERS_TO_REGISTER"),
}


@cache
def engine_option_names() -> frozenset[str]:
    """Every option of the installed vLLM; empty if vllm is not installed."""
    return frozenset(_fields(_source("engine", "arg_utils.py")))


@cache
def parser_names(option: str) -> frozenset[str]:
    """Every parser of the installed vLLM for `option`, a key of `REGISTRIES`; empty if vllm is not installed."""
    package, registry = REGISTRIES[option]
    return frozenset(_keys(_source(package, "__init__.py"), registry))


def _source(*path: str) -> str:
    """Text of a file of the vllm package; empty if there is none."""
    spec = importlib.util.find_spec("vllm")  # finds a top-level package without importing it
    if spec is None or not spec.submodule_search_locations:
        return ""
    source = Path(spec.submodule_search_locations[0], *path)
    return source.read_text(encoding="utf-8") if source.is_file() else ""


def _keys(source: str, registry: str) -> Iterator[str]:
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=keys)) if name == registry:
                yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def _fields(source: str) -> Iterator[str]:
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ClassDef) and statement.name in CLASSES:
            for member in statement.body:
                if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                    yield member.target.id


@cache
def seeing_architectures() -> frozenset[str]:
    """Architectures that read more than text in the installed vLLM; empty if vllm is not installed."""
    source = _source("model_executor", "models", "registry.py")
    return frozenset(_keys(source, "_MULTIMODAL_MODELS")) if source else frozenset()


def check_modalities(model: ModelSpec) -> None:
    """Raise `ConfigError` if the model is to read images and its config.json, if local, has an architecture without."""
    path = None if model.path is None else model.path / "config.json"
    if not model.sees or path is None or not path.is_file() or not (known := seeing_architectures()):
        return
    names = json.loads(path.read_text(encoding="utf-8")).get("architectures") or []
    if not known & {*names}:
        raise ConfigError(
            f"'{model.id}' reads no images: its config.json has the architecture {', '.join(names) or 'none'}; remove"
            " 'image' from its modalities."
        )


def check_engine_options(model: ModelSpec) -> None:
    """Raise `ConfigError` if `engine_kwargs` has an option that vLLM does not know; without vllm, check nothing."""
    known = engine_option_names()
    for name in model.engine_kwargs:
        if known and name not in known | SERVER_OPTIONS:
            similar = nearest(name, known | SERVER_OPTIONS)
            raise ConfigError(
                f"vLLM has no option '{name}' (engine_kwargs of '{model.id}'); "
                + (f"write {similar}, or remove it." if similar else "remove it.")
            )


def check_parsers(model: ModelSpec) -> None:
    """Raise `ConfigError` if `engine_kwargs` names a parser that vLLM does not have; without vllm, check nothing."""
    for option in REGISTRIES:
        name, known = model.engine_kwargs.get(option), parser_names(option)
        if name is not None and known and name not in known and f"{option}_plugin" not in model.engine_kwargs:
            raise ConfigError(unknown_parser(model.id, option, name, known))
