"""Loads dataset files. A dataset kind is a module with `FIELDS`, the required fields, and `parse(row, index)`."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from evaluation.datasets import alpaca_eval, crux, gsm8k, math, mmlu, mt_bench, tiny, tools
from evaluation.errors import EvaluationError
from evaluation.items import Item

# In the order in which the kind of a file is guessed: from the most to the least specific fields.
KINDS: dict[str, ModuleType] = {
    "tools": tools,
    "tiny": tiny,
    "mmlu": mmlu,
    "crux": crux,
    "math": math,
    "mt_bench": mt_bench,
    "alpaca_eval": alpaca_eval,
    "gsm8k": gsm8k,
}
TINY = Path(__file__).parents[2] / "models" / "tiny"
TINY_HELDOUT = TINY / "heldout.jsonl"
# Datasets that ship with the repository, by the name that replaces their path.
NAMED: dict[str, tuple[ModuleType, Path]] = {
    "tiny": (tiny, TINY_HELDOUT),
    "thinking": (tiny, TINY / "heldout_thinking.jsonl"),
    "tools": (tools, TINY / "heldout_tools.jsonl"),
}


@dataclass(frozen=True, slots=True)
class Dataset:
    """The items of one file."""

    name: str  # the file name without its suffix
    path: Path
    sha256: str  # of the file: a resumed run must have the same questions
    items: tuple[Item, ...]


def load(spec: str, limit: int | None = None) -> Dataset:
    """Load a dataset by `spec`: a name of `NAMED`, `PATH`, or `KIND=PATH` with a kind of `KINDS`.

    With `limit`, take that many items spread evenly over the file, so that every skill is represented.

    Raises:
        EvaluationError: The file or kind does not exist, a line does not parse, or an id occurs twice.
    """
    kind, path = _resolve(spec)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"Cannot read the dataset '{path}': {error.strerror}.") from error
    items: list[Item] = []
    seen: set[str] = set()
    for number, row in _rows(path, content):
        module = kind or _kind_of(path, row)
        kind = module
        item = _parse(module, path, number, row)
        if item.id in seen:
            raise EvaluationError(f"{path}:{number}: duplicate id '{item.id}'; give every row its own id.")
        seen.add(item.id)
        items.append(item)
    if not items:
        raise EvaluationError(f"The dataset '{path}' is empty.")
    if limit is not None and limit < len(items):
        items = [items[index * len(items) // limit] for index in range(limit)]
    name = next((name for name, (_, own) in NAMED.items() if path == own), path.stem)
    named = tuple(replace(item, dataset=name) for item in items)
    return Dataset(name, path, hashlib.sha256(content).hexdigest(), named)


def load_all(specs: Sequence[str], limit: int | None = None) -> list[Dataset]:
    """Load several datasets.

    Raises:
        EvaluationError: A dataset cannot be loaded, or two have the same name, which would mix their answers.
    """
    datasets = [load(spec, limit) for spec in specs]
    names = [dataset.name for dataset in datasets]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"Two datasets are named '{duplicates[0]}'; rename one of the files.")
    return datasets


def _resolve(spec: str) -> tuple[ModuleType | None, Path]:
    name, equals, path = spec.partition("=")
    if equals and not Path(spec).exists():
        if name not in KINDS:
            raise EvaluationError(f"Unknown dataset kind '{name}'; the kinds are: {', '.join(KINDS)}.")
        return KINDS[name], Path(path)
    if spec in NAMED and not Path(spec).exists():
        return NAMED[spec]
    return None, Path(spec)


def _rows(path: Path, content: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield rows with their line numbers; in a file that is one JSON array (as AlpacaEval's), the entries' numbers."""
    if content.lstrip().startswith(b"["):
        parsed: Iterable[tuple[int, Any]] = enumerate(_json(path, 1, content), 1)
    else:
        lines = enumerate(content.splitlines(), 1)
        parsed = ((number, _json(path, number, line)) for number, line in lines if line.strip())
    for number, row in parsed:
        if not isinstance(row, dict):
            raise EvaluationError(f"{path}:{number}: a row must be a JSON object.")
        yield number, row


def _json(path: Path, number: int, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise EvaluationError(f"{path}:{number}: {error}.") from error


def _kind_of(path: Path, row: Mapping[str, Any]) -> ModuleType:
    for module in KINDS.values():
        if set(row) >= module.FIELDS:
            return module
    raise EvaluationError(
        f"Cannot tell the kind of '{path}' from its fields {sorted(row)}; "
        f"use KIND={path} with a kind of: {', '.join(KINDS)}."
    )


def _parse(module: ModuleType, path: Path, number: int, row: Mapping[str, Any]) -> Item:
    try:
        item: Item = module.parse(row, number)
    except KeyError as error:
        raise EvaluationError(f"{path}:{number}: the row has no field {error}.") from error
    except (ValueError, TypeError, IndexError) as error:
        raise EvaluationError(f"{path}:{number}: {error}.") from error
    return item
