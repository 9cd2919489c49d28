"""YAML files that people write: read strictly, with one sentence per error."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from serving.errors import ConfigError
from serving.validation import abbreviated

VARIABLE = re.compile(r"\$\{\w+\}")
TIMESTAMP, MERGE = "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge"


class _Problem(yaml.MarkedYAMLError):
    """Something that YAML allows and a file of settings does not."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; refuses a key given twice, reads dates as the texts that they are."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    # Not the shared table: a package that vLLM imports (lm-format-enforcer) changes how dates are read in it.
    yaml_constructors = {**yaml.SafeLoader.yaml_constructors, TIMESTAMP: yaml.SafeLoader.construct_yaml_timestamp}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value. Raises `yaml.YAMLError` if it is not what its tag or form says, such as `!!int x`."""
        try:
            return super().construct_object(node, deep)
        # What PyYAML's conversions raise for `!!int x` and `!!int ''`, `!!bool x`, `!!timestamp x`, and 1:0:0:....
        except (ValueError, IndexError, KeyError, AttributeError, OverflowError):
            kind = node.tag.rpartition(":")[2]
            said = f"line {node.start_mark.line + 1} has a value that is no {kind}"
            raise _Problem(problem=said, problem_mark=node.start_mark) from None

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Parse a mapping, before `<<` adds the keys of others. Raises `yaml.YAMLError` if a key is there twice."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE:
                continue
            key, line = (key_node.tag, key_node.value), key_node.start_mark.line + 1
            if key in lines:
                name = abbreviated(key_node.value)
                problem = f"'{name}' of line {lines[key]} is given again in line {line}; remove one of them"
                raise _Problem(problem=problem, problem_mark=key_node.start_mark)
            lines[key] = line
        return node


def read_yaml(path: Path) -> Any:
    """Value that the YAML file at `path` holds.

    Raises:
        ConfigError: the file cannot be read or is not YAML, has a key twice, is nested too deeply, or has a value such
            as `${NAME}`, which would be taken literally.
    """
    try:
        raw = _loaded(path.read_text(encoding="utf-8"))
        variable = next(((name, value) for name, value in _texts(raw) if VARIABLE.fullmatch(value)), None)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8 at byte {error.start}.") from None
    except _Problem as error:
        raise ConfigError(f"Change {path}: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML{_place(error)}.") from None
    except RecursionError:
        raise ConfigError(f"{path} cannot be read: it is nested too deeply.") from None
    if variable is not None:
        name, value = variable
        raise ConfigError(
            f"Change '{name}' in {path}: variables such as {value} are not replaced; write the value itself."
        )
    return raw


def _loaded(text: str) -> Any:
    """Value of a YAML text. Raises `yaml.YAMLError` or `RecursionError`."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    except (ValueError, OverflowError):  # of the text itself, such as the escapes "\U00110000" and "\UFFFFFFFF"
        mark = loader.get_mark()
        said = f"line {mark.line + 1} has an escape of no character, or a version that is none"
        raise _Problem(problem=said, problem_mark=mark) from None
    finally:
        loader.dispose()


def _place(error: yaml.YAMLError) -> str:
    """Place and problem of an error. Its text also quotes the file, which may hold keys."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
    return where + (f": {problem}" if problem else "")


def _texts(value: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, str]]:
    """All texts in a value, each after its path; those that several aliases name, once."""
    seen = set() if seen is None else seen
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list) and id(value) not in seen:
        seen.add(id(value))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            inner = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}" if path else str(key)
            yield from _texts(item, inner, seen)
