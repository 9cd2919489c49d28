"""Cells and tables of the HTML reports."""

from collections.abc import Iterable, Sequence

from evaluation.tables import UNKNOWN, Cell, Table


def number(value: float) -> str:
    """Format with three or four significant digits, whatever the magnitude."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def cell(value: Cell | float | str | None) -> Cell:
    """Format a value. `None` is unknown."""
    match value:
        case Cell():
            return value
        case None:
            return UNKNOWN
        case int():
            return Cell(f"{value:,}")
        case float():
            return Cell(number(value))
        case _:
            return Cell(value)


def verdict(met: bool, missed: str) -> Cell:
    """Green `met`, or the word `missed` in red."""
    return Cell("met" if met else missed, good=met)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Cell | float | str | None]], *, title: str = "", note: str = ""
) -> Table:
    """Table of formatted values."""
    return Table(title, tuple(columns), tuple(tuple(map(cell, row)) for row in rows), note)
