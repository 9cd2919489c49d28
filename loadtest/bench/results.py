"""Results of the benchmark: ratios to the baseline, verdicts on the aims, and one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.bench.rows import AIMS, MEASURES, OF_KIND, Aim, Row

BASE = "vllm"


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdict on one aim."""

    aim: Aim
    value: float  # a ratio if the aim is relative
    met: bool


@dataclass(slots=True)
class Results:
    """Measured values: `cells[row][column][measure]`.

    Columns are `vllm` (the baseline), `stock`, `moa` (single-model rows) and `moa-<policy>`. `ours` is the column of
    the recipe rows that is judged.
    """

    rows: Sequence[Row]
    ours: str
    machine: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    cells: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    def add(self, row: Row, column: str, measured: dict[str, float]) -> None:
        """Add the measures of one row and column."""
        self.cells.setdefault(row.id, {})[column] = measured

    def columns(self) -> list[str]:
        """List the columns that have values, the baseline first."""
        found = dict.fromkeys(column for cells in self.cells.values() for column in cells)
        return sorted(found, key=lambda name: (name != BASE, name != "stock"))

    def value(self, row: str, column: str, measure: str) -> float | None:
        """Look up a value; `None` if it was not measured."""
        cells = self.cells.get(row, {})
        return cells.get(column, {}).get(measure)

    def ratio(self, row: str, column: str, measure: str) -> float | None:
        """Ratio to the baseline; `None` if one of the two was not measured."""
        own, base = self.value(row, column, measure), self.value(row, BASE, measure)
        return None if own is None or not base else own / base

    def judged(self) -> list[Judged]:
        """Judge the aims whose rows were measured."""
        verdicts = []
        for aim in AIMS:
            column = "moa" if aim.row.startswith("pass") else self.ours
            value = (self.ratio if aim.relative else self.value)(aim.row, column, aim.measure)
            if value is not None:
                verdicts.append(Judged(aim, value, aim.met(value)))
        return verdicts

    def to_json(self) -> dict[str, Any]:
        """Convert to the content of `bench.json`."""
        return {
            "machine": dict(self.machine),
            "settings": dict(self.settings),
            "measures": dict(MEASURES),
            "rows": {row.id: row.title for row in self.rows},
            "cells": self.cells,
            "ratios": {
                row.id: {
                    column: {measure: self.ratio(row.id, column, measure) for measure in OF_KIND[row.kind]}
                    for column in self.columns()
                    if column != BASE and column in self.cells.get(row.id, {})
                }
                for row in self.rows
            },
            "aims": [{"aim": str(j.aim), "value": j.value, "met": j.met} for j in self.judged()],
        }

    def lines(self) -> list[tuple[str, str, list[str]]]:
        """Lines of the table: row title, measure, and for each column the value with its ratio to the baseline."""
        table = []
        for row in self.rows:
            for measure in OF_KIND[row.kind]:
                shown = [self._shown(row.id, column, measure) for column in self.columns()]
                if any(shown):
                    table.append((row.title, measure, shown))
        return table

    def table(self) -> str:
        """Format all results as text."""
        columns = self.columns()
        lines = [f"{'':48}{'':20}" + "".join(f"{column:>22}" for column in columns)]
        before = ""
        for title, measure, shown in self.lines():
            head = "" if title == before else title
            lines.append(f"{head:48}{measure:20}" + "".join(f"{cell:>22}" for cell in shown))
            before = title
        lines.append("")
        lines.extend(f"{name:20} = {formula}" for name, formula in MEASURES.items())
        lines.append("")
        for judged in self.judged():
            lines.append(f"{'met   ' if judged.met else 'MISSED'}  {judged.aim!s:42} measured {judged.value:.3g}")
        return "\n".join(lines)

    def _shown(self, row: str, column: str, measure: str) -> str:
        value = self.value(row, column, measure)
        if value is None:
            return ""
        ratio = self.ratio(row, column, measure)
        number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        return number if column == BASE or ratio is None else f"{number} ({ratio:.2f}x)"
