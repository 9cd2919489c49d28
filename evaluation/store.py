"""Storage of a run: append-only JSONL files that survive a crash, and the manifest of its settings."""

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
from evaluation.rows import Row, dumped, valid_text

MANIFEST = "run.json"
RowT = TypeVar("RowT", bound=BaseModel)


def read_rows(path: Path, kind: type[RowT]) -> list[RowT]:
    """Read a JSONL file; of rows with the same `key`, keep the last. An incomplete last line is skipped.

    Raises:
        EvaluationError: A line is not a row.
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
    """Read the answers of a run, including failed ones.

    Raises:
        EvaluationError: There are none.
    """
    rows = read_rows(directory / "rows.jsonl", Row)
    if not rows:
        raise EvaluationError(f"No answers in '{directory}'. Create them with 'python -m evaluation run'.")
    return rows


def read_arms(directory: Path) -> list[str]:
    """Read the names of a run's arms, in the order of the commands that ran them.

    Raises:
        EvaluationError: The directory has no manifest, or a broken one.
    """
    return list(_read_manifest(directory / MANIFEST)["arm"])


def _read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvaluationError(
            f"Cannot read '{path}': {error.strerror}. It belongs to every run; restore it."
        ) from error
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(section, dict) for section in found.values()):
        raise EvaluationError(f"'{path}' is not the settings of a run. Restore it, or choose another directory.")
    return found


class Appender:
    """Appends rows to a JSONL file, which it locks against a second writer. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise EvaluationError(f"Another command is writing to '{self.path}'. Wait until it has ended.") from error
        self._drop_incomplete_line()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, row: BaseModel) -> None:
        """Write a row; it is on disk when the method returns. Raises `EvaluationError` if the disk does not take it."""
        fields = dumped(row)
        try:
            line = orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # a lone surrogate
            line = orjson.dumps(_valid(fields), option=orjson.OPT_APPEND_NEWLINE)
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _drop_incomplete_line(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        self._file.truncate(content.rfind(b"\n") + 1)


def _valid(value: Any) -> Any:
    """A JSON value without lone surrogates."""
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, dict):
        return {_valid(key): _valid(entry) for key, entry in value.items()}
    return [_valid(entry) for entry in value] if isinstance(value, list) else value


def _unwritable(path: Path, error: OSError) -> EvaluationError:
    return EvaluationError(f"Cannot write '{path}': {error.strerror}.")


def check_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Check entries of a manifest against those of the run to resume, if there is one.

    Raises:
        EvaluationError: A setting or the server differs, so that old and new answers would not be comparable, or the
            file cannot be read.
    """
    manifest = _valid(manifest)
    for section, values in (_read_manifest(path) if path.exists() else {}).items():
        for name, value in values.items():
            if name not in manifest.get(section, {}) or manifest[section][name] == value:
                continue
            was, now = json.dumps(value), json.dumps(manifest[section][name])
            of_server = section == "server"
            difference = f"of another server: '{name}'" if of_server else f"with other settings: {section} '{name}'"
            raise EvaluationError(
                f"'{path.parent}' holds answers {difference} was {was}, is now {now}. Use the previous"
                f" {'server' if of_server else 'settings'}, or another folder: choose another --out, or move this one"
                " away."
            )


def keep_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a run's manifest, or check it against that of the run to resume.

    Existing values must be equal; new arms and datasets may be added.

    Raises:
        EvaluationError: As `check_manifest`, or the file cannot be written.
    """
    check_manifest(path, manifest)
    manifest = _valid(manifest)
    if path.exists():
        before = _read_manifest(path)
        manifest = {section: {**before.get(section, {}), **values} for section, values in manifest.items()}
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)  # at once: a command that is killed leaves the old manifest or the new one
    except OSError as error:
        raise _unwritable(path, error) from error
