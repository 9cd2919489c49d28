"""Rows of dataset files: JSON lines, a JSON array, CSV, TSV and Parquet, each also compressed with gzip."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.errors import EvaluationError

Rows = Iterator[tuple[int, Mapping[str, Any]]]

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")  # each also with .gz behind it
DELIMITERS = {".csv": ",", ".tsv": "\t"}
GZIP, PARQUET = b"\x1f\x8b", b"PAR1"  # the first bytes of such files
UNREADABLE = {
    *(".zip", ".zst", ".bz2", ".xz", ".7z", ".tar", ".tgz"),
    *(".xls", ".xlsx", ".arrow", ".feather", ".pkl", ".npz"),
}
LONGEST_CELL = 2**31 - 1  # csv's own limit is 128 KB, less than a document in a cell


def rows_of(path: Path, content: bytes) -> Rows:
    """Yield the rows of a file with their line numbers; of an array, CSV, TSV or Parquet, the numbers of the rows.

    Raises:
        EvaluationError: The file has another format, or a row cannot be read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise EvaluationError(f"Cannot unpack '{path}': it is no complete gzip file.") from error
        suffixes = suffixes[:-1] if suffixes[-1:] == [".gz"] else suffixes
    suffix = suffixes[-1] if suffixes else ""
    if suffix in UNREADABLE:
        raise EvaluationError(
            f"Cannot read '{path}': convert it to one of {', '.join(SUFFIXES)}, or any of them with .gz."
        )
    if suffix == ".parquet" or content.startswith(PARQUET):
        return _parquet(path, content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise EvaluationError(f"{path}:{line}: the text is not UTF-8; convert the file.") from error
    if suffix in DELIMITERS:
        return _table(path, text, DELIMITERS[suffix])
    if text.lstrip().startswith("["):
        return _array(path, text)
    return _lines(path, text)


def _lines(path: Path, text: str) -> Rows:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = _json(path, number, line)
            except EvaluationError:
                if number == 1 and line.strip() != text.strip():
                    _refuse_one_object(path, text)
                raise
            if not isinstance(row, dict):
                raise EvaluationError(f"{path}:{number}: a row must be a JSON object.")
            if number == 1 and not text.partition("\n")[2].strip():
                _refuse_nested(path, row)
            yield number, row


def _array(path: Path, text: str) -> Rows:
    for number, row in enumerate(_json(path, 1, text), 1):
        if not isinstance(row, dict):
            raise EvaluationError(f"{path}:{number}: a row must be a JSON object.")
        yield number, row


def _table(path: Path, text: str, delimiter: str) -> Rows:
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if duplicates := sorted({name for name in header if header.count(name) > 1}):
            raise EvaluationError(f"{path}:1: two columns are named '{duplicates[0]}'; rename one.")
        number = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise EvaluationError(f"{path}:{number}: the row has {len(cells)} cells, but the header {len(header)}.")
            if cells:
                yield number, {name: cell or None for name, cell in zip(header, cells, strict=True) if name}
            number = reader.line_num + 1
    except csv.Error as error:
        raise EvaluationError(f"{path}:{reader.line_num}: {error}.") from error


def _parquet(path: Path, content: bytes) -> Rows:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise EvaluationError(
            f"Cannot read '{path}': install the package 'pyarrow', or convert it to JSONL."
        ) from error
    try:
        rows: Sequence[Mapping[str, Any]] = parquet.read_table(pyarrow.BufferReader(content)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise EvaluationError(f"Cannot read '{path}': it is no valid Parquet file.") from error
    return enumerate(rows, 1)


def _json(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        line = number + error.lineno - 1
        raise EvaluationError(f"{path}:{line}: no valid JSON: {error.msg} at column {error.colno}.") from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise EvaluationError(f"{path}:{number}: no valid JSON: {reason}.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it has no {name}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field '{twice}' is given twice")
    return found


def _refuse_one_object(path: Path, text: str) -> None:
    """Refuse a file that is one JSON object over several lines."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(whole, dict):
        return
    _refuse_nested(path, whole)
    raise EvaluationError(f"{path}: the file is one object over several lines; write each row on one line.")


def _refuse_nested(path: Path, row: Mapping[str, Any]) -> None:
    """Refuse a file whose rows are the entries of a list in one object."""
    for name, value in row.items():
        if name in ("data", "Data", "rows", "examples", "questions") and isinstance(value, list):
            raise EvaluationError(
                f"{path}: the file is one object with a list '{name}'; write the rows themselves, one per line."
            )
