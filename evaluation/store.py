"""Rows on disk: append-only JSONL that survives a crash, and the run's settings beside it."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from evaluation.errors import EvaluationError
from evaluation.rows import Row, dumped

MANIFEST = "run.json"
RowT = TypeVar("RowT", bound=BaseModel)


def read_rows(path: Path, kind: type[RowT]) -> list[RowT]:
    """The rows of a JSONL file; of rows with one `key` the last. A line that a crash cut short is left out.

    Raises:
        EvaluationError: a line before the last is not a row.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    rows: dict[str, RowT] = {}
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        try:
            row = kind.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            raise EvaluationError(f"{path}:{number} is not a row of this version: {first['msg']}.") from error
        rows[row.key] = row  # type: ignore[attr-defined]
    return list(rows.values())


def read_answers(directory: Path) -> list[Row]:
    """The answers of a run, failed ones included.

    Raises:
        EvaluationError: there are none.
    """
    rows = read_rows(directory / "rows.jsonl", Row)
    if not rows:
        raise EvaluationError(f"There are no answers in '{directory}'; make some with 'python -m evaluation run'.")
    return rows


def read_arms(directory: Path) -> list[str]:
    """The names of a run's arms, in the order in which the commands named them."""
    return list(json.loads((directory / MANIFEST).read_text())["arm"])


class Appender:
    """Appends rows to a JSONL file. Each is on the disk when `append` returns; two writers are refused."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise EvaluationError(f"Another command is writing to '{self.path}'; wait for it to end.") from error
        self._drop_cut_line()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, row: BaseModel) -> None:
        self._file.write(orjson.dumps(dumped(row), option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _drop_cut_line(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        self._file.truncate(content.rfind(b"\n") + 1)


def keep_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a run's settings, or check them against those of the run that is resumed.

    Whatever was set before must be the same; new arms and datasets may join.

    Raises:
        EvaluationError: a setting or the server differs, so that old and new answers would not be comparable.
    """
    if path.exists():
        before = json.loads(path.read_text())
        for section, values in before.items():
            for name, value in values.items():
                if name not in manifest.get(section, {}) or manifest[section][name] == value:
                    continue
                was, now = json.dumps(value), json.dumps(manifest[section][name])
                if section == "server":
                    raise EvaluationError(
                        f"'{path.parent}' holds answers of another server: its {name} was {was}, now it is {now};"
                        " choose another --out, or the server of before."
                    )
                raise EvaluationError(
                    f"'{path.parent}' holds answers made with {section} '{name}' = {was}, now it is {now};"
                    " choose another --out, or the settings of before."
                )
        manifest = {section: {**before.get(section, {}), **values} for section, values in manifest.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
