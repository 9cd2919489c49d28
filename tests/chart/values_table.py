"""Table of values from values.yaml and its `# --` comments, in the format of helm-docs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

KEY = re.compile(r"^( *)([A-Za-z][\w.-]*):(.*)$")


def rows(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield (key, type, default, description) of every documented value, in the file's order."""
    values = yaml.safe_load(path.read_text())
    parents: list[tuple[int, str]] = []
    said: list[str] = []
    for line in path.read_text().splitlines():
        comment = line.strip()
        if comment.startswith("# -- "):
            said = [comment.removeprefix("# -- ")]
        elif comment.startswith("# ") and said:
            said.append(comment.removeprefix("# "))
        elif found := KEY.match(line):
            indent, name = len(found[1]), found[2]
            while parents and parents[-1][0] >= indent:
                parents.pop()
            parents.append((indent, name))
            if said:
                keys = [key for _, key in parents]
                yield ".".join(keys), *kind_and_default(value_at(values, keys)), " ".join(said)
                said = []
        else:
            said = []


def value_at(values: Any, keys: list[str]) -> Any:
    for key in keys:
        values = values[key]
    return values


def kind_and_default(value: Any) -> tuple[str, str]:
    names = {dict: "object", list: "list", str: "string", bool: "bool", int: "int", float: "float"}
    text = json.dumps(value)
    return names[type(value)], text if len(text) <= 60 else "see values.yaml"


def leaves(values: Any, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield from leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [f"{prefix}{key}"]


def table(path: Path) -> str:
    lines = ["| key | type | default | description |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | {kind} | `{default}` | {said.replace('|', '/')} |" for key, kind, default, said in rows(path)
    ]
    return "\n".join(lines)
