"""Tables, rendered as HTML or Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # its module needs scipy, which the pages of `loadtest` do not
    from evaluation.analysis.stats import Share


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of one cell, and its emphasis in HTML."""

    text: str
    heat: float | None = None  # in [0, 1]: tints the cell
    strong: bool = False  # marks the best
    good: bool | None = None  # a verdict: green or red


@dataclass(frozen=True, slots=True)
class Table:
    """A table; columns of numbers are aligned right, others left."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """Render the title, the table and the note as Markdown."""
        rules = ["---:" if right else "---" for right in self.numeric_columns()]
        lines = [f"**{self.title}**", "", _line(self.columns), _line(rules)]
        lines += [_line([f"**{cell.text}**" if cell.strong else cell.text for cell in row]) for row in self.rows]
        return "\n".join([*lines, "", self.note] if self.note else lines) + "\n"

    def numeric_columns(self) -> list[bool]:
        """One entry per column: True if all its cells begin like numbers, or are unknown, and none is a sentence."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        return [
            position > 0
            and all(cell.text[:1] in "0123456789+-–" and len(cell.text) <= NUMBER_CHARACTERS for cell in column)
            for position, column in enumerate(columns)
        ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


UNKNOWN = Cell("–")
NUMBER_CHARACTERS = 32  # the longest number has a confidence interval and a ratio behind it


def number(value: float | None, digits: int = 2) -> Cell:
    """Format a number with `digits` decimals."""
    return UNKNOWN if value is None else Cell(f"{value:,.{digits}f}")


def percent(share: "Share | None", *, digits: int = 1, strong: bool = False) -> Cell:
    """Format an accuracy in percent, with its 95% interval in brackets with `digits` decimals."""
    if share is None:
        return UNKNOWN
    interval = f"[{100 * share.low:.{digits}f}, {100 * share.high:.{digits}f}]"
    return Cell(f"{100 * share.value:.1f} {interval}", share.value, strong)


def texts(*rows: Sequence[str]) -> tuple[tuple[Cell, ...], ...]:
    """Build rows of plain cells."""
    return tuple(tuple(Cell(text) for text in row) for row in rows)
