"""Tables, rendered as HTML or Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from evaluation.analysis.stats import Share


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, a tint in [0, 1] for HTML (`heat`), and a mark for the best value (`strong`)."""

    text: str
    heat: float | None = None
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; columns of numbers are aligned right, others left."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """Render the title, the table and the note as Markdown."""
        rules = ["---:" if right else "---" for right in self._numeric()]
        lines = [f"**{self.title}**", "", _line(self.columns), _line(rules)]
        lines += [_line([f"**{cell.text}**" if cell.strong else cell.text for cell in row]) for row in self.rows]
        return "\n".join([*lines, "", self.note] if self.note else lines) + "\n"

    def html(self) -> str:
        right = self._numeric()
        head = "".join(f"<th{_side(r)}>{escape(name)}</th>" for name, r in zip(self.columns, right, strict=True))
        body = "".join(
            "<tr>" + "".join(_html(cell, r) for cell, r in zip(row, right, strict=True)) + "</tr>" for row in self.rows
        )
        note = f"<p class=note>{escape(self.note)}</p>" if self.note else ""
        return (
            f"<figure class=table><figcaption>{escape(self.title)}</figcaption><div class=scroll><table>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}</figure>"
        )

    def _numeric(self) -> list[bool]:
        """Return True for each column of numbers: all its cells begin like a number or are unknown."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        return [
            position > 0 and all(cell.text[:1] in "0123456789+-–" for cell in column)
            for position, column in enumerate(columns)
        ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _side(right: bool) -> str:
    return ' class="number"' if right else ""


def _html(cell: Cell, right: bool) -> str:
    marks = {"number": right, "heat": cell.heat is not None, "strong": cell.strong}
    names = " ".join(name for name, on in marks.items() if on)
    tint = f' style="--heat:{cell.heat:.3f}"' if cell.heat is not None else ""
    return f'<td class="{names}"{tint}>{escape(cell.text)}</td>' if names else f"<td>{escape(cell.text)}</td>"


UNKNOWN = Cell("–")


def number(value: float | None, digits: int = 2) -> Cell:
    """Format a number with `digits` decimals."""
    return UNKNOWN if value is None else Cell(f"{value:,.{digits}f}")


def percent(share: Share | None, *, digits: int = 1, strong: bool = False) -> Cell:
    """Format an accuracy in percent, with its 95% interval in brackets with `digits` decimals."""
    if share is None:
        return UNKNOWN
    interval = f"[{100 * share.low:.{digits}f}, {100 * share.high:.{digits}f}]"
    return Cell(f"{100 * share.value:.1f} {interval}", share.value, strong)


def texts(*rows: Sequence[str]) -> tuple[tuple[Cell, ...], ...]:
    """Build rows of plain cells."""
    return tuple(tuple(Cell(text) for text in row) for row in rows)
