"""Files to items. A dataset is a module of `FIELDS`, which a row must have, and `parse(row, index)`."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from evaluation.datasets import alpaca_eval, crux, gsm8k, math, mmlu, mt_bench, tiny
from evaluation.errors import EvaluationError
from evaluation.items import Item

# The order in which a file without a named kind is tried: from the most to the least particular fields.
KINDS: dict[str, ModuleType] = {
    "tiny": tiny,
    "mmlu": mmlu,
    "crux": crux,
    "math": math,
    "mt_bench": mt_bench,
    "alpaca_eval": alpaca_eval,
    "gsm8k": gsm8k,
}
TINY_HELDOUT = Path(__file__).parents[2] / "models" / "tiny" / "heldout.jsonl"


@dataclass(frozen=True, slots=True)
class Dataset:
    name: str  # the file's, without its ending
    path: Path
    sha256: str  # of the file, so that a resumed run can tell whether the questions are still the same
    items: tuple[Item, ...]


def load(spec: str, limit: int | None = None) -> Dataset:
    """The dataset that `spec` names: `tiny`, `PATH`, or `KIND=PATH` with a kind of `KINDS`.

    `limit` takes that many items spread evenly over the file, so that every skill stays in.

    Raises:
        EvaluationError: no such file or kind, a line that does not parse, or an id that stands twice.
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
            raise EvaluationError(f"{path}:{number}: the id '{item.id}' stands twice; give every row its own.")
        seen.add(item.id)
        items.append(item)
    if not items:
        raise EvaluationError(f"The dataset '{path}' is empty.")
    if limit is not None and limit < len(items):
        items = [items[index * len(items) // limit] for index in range(limit)]
    name = "tiny" if path == TINY_HELDOUT else path.stem
    named = tuple(replace(item, dataset=name) for item in items)
    return Dataset(name, path, hashlib.sha256(content).hexdigest(), named)


def load_all(specs: Sequence[str], limit: int | None = None) -> list[Dataset]:
    """`load` for several; raises EvaluationError where two have one name, since their answers would mix."""
    datasets = [load(spec, limit) for spec in specs]
    names = [dataset.name for dataset in datasets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"Two datasets are called '{twice[0]}'; rename one of the files.")
    return datasets


def _resolve(spec: str) -> tuple[ModuleType | None, Path]:
    name, equals, path = spec.partition("=")
    if equals and not Path(spec).exists():
        if name not in KINDS:
            raise EvaluationError(f"There is no dataset kind '{name}'; choose one of: {', '.join(KINDS)}.")
        return KINDS[name], Path(path)
    if spec == "tiny" and not Path(spec).exists():
        return tiny, TINY_HELDOUT
    return None, Path(spec)


def _rows(path: Path, content: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows with their line numbers; a file that is one JSON array (AlpacaEval's) counts its entries."""
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
        f"Cannot tell what '{path}' is from its fields {sorted(row)}; say KIND={path} with one of: {', '.join(KINDS)}."
    )


def _parse(module: ModuleType, path: Path, number: int, row: Mapping[str, Any]) -> Item:
    try:
        item: Item = module.parse(row, number)
    except KeyError as error:
        raise EvaluationError(f"{path}:{number}: the row has no field {error}.") from error
    except (ValueError, TypeError, IndexError) as error:
        raise EvaluationError(f"{path}:{number}: {error}.") from error
    return item
