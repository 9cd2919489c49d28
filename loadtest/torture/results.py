"""Results of parts: one JSON file each, and one table of all."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtest.torture.row import Row


@dataclass(frozen=True, slots=True)
class PartResult:
    """Rows of one part, and the run that measured them."""

    part: str
    title: str
    rows: tuple[Row, ...]
    machine: str  # one line
    seconds: float
    short: bool = False

    @property
    def command(self) -> str:
        """Command that measures the part again."""
        return f'make torture ARGS="{self.part}{" --short" if self.short else ""}"'

    def save(self, folder: Path) -> None:
        """Write `PART.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.part}.json").write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")


def load(folder: Path, parts: Iterable[str]) -> list[PartResult]:
    """Read the results of `parts` that are there, in that order."""
    files = (folder / f"{part}.json" for part in parts)
    return [parsed(json.loads(file.read_text())) for file in files if file.is_file()]


def parsed(raw: Mapping[str, Any]) -> PartResult:
    """One result as `PartResult.save` wrote it."""
    return PartResult(**{**raw, "rows": tuple(Row(**row) for row in raw["rows"])})


def summary(results: Sequence[PartResult]) -> str:
    """Number of promises by verdict, in one sentence."""
    rows = [row for result in results for row in result.rows]
    kept, broken = (sum(row.kept is wanted for row in rows) for wanted in (True, False))
    left = len(rows) - kept - broken
    return f"{kept} of {len(rows)} promises green, {broken} red" + (f", {left} not measured" if left else "") + "."


def text(results: Sequence[PartResult]) -> str:
    """All rows as text for a terminal."""
    lines = []
    for result in results:
        lines.append(f"{result.part} ({result.seconds:.0f} s): {result.command}")
        for row in result.rows:
            lines += [f"  {row.verdict:<13}{row.promise}", f"{'':15}{row.figure}; limit: {row.limit}"]
            if row.note:
                lines.append(f"{'':15}{row.note}")
    return "\n".join([*lines, summary(results)])
