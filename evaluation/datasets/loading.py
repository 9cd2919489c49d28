"""Loads dataset files: every row is read and checked before the first question is asked."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluation.datasets.base import LeftOut
from evaluation.datasets.files import rows_of
from evaluation.datasets.kinds import KINDS, Kind, kind_named, recognized
from evaluation.datasets.tiny import Tiny
from evaluation.datasets.tools import ToolRow
from evaluation.errors import EvaluationError
from evaluation.items import Item
from evaluation.scoring import CODE, SCORERS, scorer_named
from serving.validation import first_issue

__all__ = ["KINDS", "NAMED", "Dataset", "load", "load_all"]

TINY = Path(__file__).parents[2] / "models" / "tiny"
TINY_HELDOUT = TINY / "heldout.jsonl"
# Datasets that ship with the repository, by the name that replaces their path.
NAMED: dict[str, tuple[Kind, Path]] = {
    "tiny": (Tiny, TINY_HELDOUT),
    "thinking": (Tiny, TINY / "heldout_thinking.jsonl"),
    "tools": (ToolRow, TINY / "heldout_tools.jsonl"),
}


@dataclass(frozen=True, slots=True)
class Dataset:
    """The items of one file."""

    name: str  # the file name without its suffixes
    path: Path
    sha256: str  # of the file: a resumed run must have the same questions
    items: tuple[Item, ...]
    kind: str = ""
    scorer: str | None = None  # in place of the kind's own
    left_out: Mapping[str, int] = field(default_factory=dict)  # rows without a question, by the dataset's own reason
    usable: int = 0  # rows with a question, of which a limit may have taken a part
    unused: tuple[str, ...] = ()  # fields of the rows that the kind does not know

    @property
    def settings(self) -> dict[str, str]:
        """The dataset's entry in a run's manifest."""
        scorer = {} if self.scorer is None else {"scorer": self.scorer}
        return {"sha256": self.sha256, "file": self.path.name, "kind": self.kind, **scorer}

    @property
    def notes(self) -> list[str]:
        """Sentences about rows and fields of the file that are not used."""
        notes = []
        if self.left_out:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            count = sum(self.left_out.values())
            notes.append(f"{self.path}: left out {count} of {count + self.usable} rows: {reasons}.")
        if self.unused:
            notes.append(f"{self.path}: the kind '{self.kind}' does not use the fields: {', '.join(self.unused)}.")
        return notes


def load(spec: str, limit: int | None = None, kind: str | None = None, scorer: str | None = None) -> Dataset:
    """Load and check a dataset.

    Args:
        spec: A name of `NAMED`, `PATH`, or `KIND=PATH` with a kind of `KINDS` or `module:Class`.
        limit: Take that many items, spread evenly over the file, so that every skill is represented.
        kind: The kind of the file; without one, its fields must leave no doubt.
        scorer: Name of a scorer in place of the kind's own.

    Raises:
        EvaluationError: The file, kind or scorer does not exist, a row is wrong, or an id occurs twice.
    """
    if limit is not None and limit < 1:
        raise EvaluationError(f"Set the limit to at least 1 item, not {limit}.")
    given, path = _resolve(spec, kind)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"Cannot read the dataset '{path}': {error.strerror}.") from error
    rows = list(rows_of(path, content))
    if not rows:
        raise EvaluationError(f"The dataset '{path}' is empty.")
    chosen = given or recognized(path, rows)
    name = next((name for name, (_, own) in NAMED.items() if path == own), _stem(path))
    items: dict[str, Item] = {}
    left_out: Counter[str] = Counter()
    for place, (number, row) in enumerate(rows, 1):
        try:
            item = _item(chosen, path, number, row, place)
        except LeftOut as reason:
            left_out[str(reason)] += 1
            continue
        if given is None and not chosen.recognizes(row):
            raise EvaluationError(
                f"{path}:{number}: the rows before fit the kind '{chosen.kind}', this one does not;"
                f" choose one with '--kind'."
            )
        if item.id in items:
            raise EvaluationError(f"{path}:{number}: duplicate id '{item.id}'; give every row its own id.")
        items[item.id] = replace(item, dataset=name, scorer=_scorer(path, item, scorer))
    if not items:
        raise EvaluationError(f"The dataset '{path}' has no usable rows: {', '.join(left_out)}.")
    taken = tuple(items.values())
    if limit is not None and limit < len(taken):
        taken = tuple(taken[index * len(taken) // limit] for index in range(limit))
    unused = dict.fromkeys(str(name) for _, row in rows for name in row if name not in chosen.known())
    digest = hashlib.sha256(content).hexdigest()
    return Dataset(name, path, digest, taken, chosen.kind, scorer, dict(left_out), len(items), tuple(unused))


def load_all(
    specs: Sequence[str], limit: int | None = None, kind: str | None = None, scorer: str | None = None
) -> list[Dataset]:
    """Load several datasets; see `load`.

    Raises:
        EvaluationError: A dataset cannot be loaded, or two have the same name, which would mix their answers.
    """
    datasets = [load(spec, limit, kind, scorer) for spec in specs]
    names = [dataset.name for dataset in datasets]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"Two datasets are named '{duplicates[0]}'; rename one of the files.")
    return datasets


def _resolve(spec: str, kind: str | None) -> tuple[Kind | None, Path]:
    chosen = None if kind is None else kind_named(kind)
    if os.path.exists(spec):  # False also for a name that is too long
        return chosen, Path(spec)
    name, equals, path = spec.partition("=")
    own = (kind_named(name), Path(path)) if equals else NAMED.get(spec)
    if own is None:
        return chosen, Path(spec)
    if chosen not in (None, own[0]):
        raise EvaluationError(f"The dataset '{spec}' has the kind '{own[0].kind}'; remove '--kind {kind}'.")
    return own


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def _scorer(path: Path, item: Item, scorer: str | None) -> str | None:
    if scorer is None:
        return item.scorer
    scorer_named(scorer)
    if item.answer is None:
        raise EvaluationError(f"The questions of '{path}' have no right answers for a scorer; remove '--scorer'.")
    if item.scorer == CODE != scorer and scorer in SCORERS:
        raise EvaluationError(
            f"The right answers of '{path}' are programs, which only the scorer '{CODE}' or one of your own can use;"
            " remove '--scorer'."
        )
    return scorer


def _item(kind: Kind, path: Path, number: int, row: Mapping[str, Any], place: int) -> Item:
    _check_texts(kind, path, number, row)
    try:
        item = kind.model_validate(dict(row)).item(place)
    except ValidationError as error:
        raise EvaluationError(f"{path}:{number}: {first_issue(error, whole='the row').sentence}") from error
    except (LeftOut, EvaluationError):
        raise
    except (Exception, SystemExit) as error:  # a kind of one's own may raise anything
        reason = str(error).rstrip(".") if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise EvaluationError(f"{path}:{number}: {reason}.") from error
    if not isinstance(item, Item):
        raise EvaluationError(f"{path}:{number}: 'item' of the kind '{kind.kind}' returned no Item.")
    return item


def _check_texts(kind: Kind, path: Path, number: int, row: Mapping[str, Any]) -> None:
    """Refuse texts that are not valid Unicode, which no request could carry."""
    for name, value in row.items():
        if name in kind.known() - kind.unused and (found := _surrogate(value)):
            reason = f"it has half a character (\\u{ord(found):04x} without its other half)"
            raise EvaluationError(f"{path}:{number}: Change '{name}': {reason}.")


def _surrogate(value: Any) -> str | None:
    if isinstance(value, str):
        return next((char for char in value if "\ud800" <= char <= "\udfff"), None)
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for part in parts if (found := _surrogate(part))), None)
