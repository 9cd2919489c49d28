"""One self-contained HTML page: headings, tables, and plots with plotly's script inlined once."""

from collections.abc import Iterable, Sequence
from html import escape

import plotly.graph_objects as go

STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea; --good: #1a7f37; --bad: #c5221f; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); margin: 2rem auto; max-width: 1120px; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p.lead { color: var(--soft); margin-top: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
th { color: var(--soft); font-weight: 600; }
td.good { color: var(--good); font-weight: 600; } td.bad { color: var(--bad); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 1rem; }
.plots > div { min-width: 0; }
@media (max-width: 560px) { .plots { grid-template-columns: 1fr; } }
"""
TEXT_CELL = "<td class='text'>"
COLOURS = ("#2f6fde", "#e07b39", "#3a9d6e", "#9b5fc0", "#c94f6d", "#6b7785")


class Page:
    """Built from top to bottom."""

    def __init__(self, title: str, lead: str) -> None:
        self.title = title
        self.parts = [f"<h1>{escape(title)}</h1><p class='lead'>{escape(lead)}</p>"]
        self.has_script = False

    def heading(self, text: str, note: str = "") -> None:
        self.parts.append(f"<h2>{escape(text)}</h2>" + (f"<p class='lead'>{escape(note)}</p>" if note else ""))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A cell is text, a number, or a `Mark`."""
        cells = [[_cell(cell) for cell in row] for row in rows]
        lefts = [cell.startswith(TEXT_CELL) for cell in cells[0]] if cells else [False] * len(columns)
        head = "".join(
            f"<th{' class=text' if left else ''}>{escape(column)}</th>"
            for column, left in zip(columns, lefts, strict=True)
        )
        body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
        self.parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def plots(self, figures: Iterable[go.Figure]) -> None:
        drawn = [f"<div>{self._plot(figure)}</div>" for figure in figures]
        self.parts.append(f"<div class='plots'>{''.join(drawn)}</div>")

    def html(self) -> str:
        return (
            f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(self.title)}</title>"
            f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head>"
            f"<body>{''.join(self.parts)}</body></html>\n"
        )

    def _plot(self, figure: go.Figure) -> str:
        script = not self.has_script
        self.has_script = True
        html: str = figure.to_html(
            full_html=False, include_plotlyjs=script, config={"displaylogo": False, "responsive": True}
        )
        return html


class Mark(str):
    """A cell that says whether something holds."""

    __slots__ = ("good",)

    def __new__(cls, text: str, good: bool) -> "Mark":
        mark = super().__new__(cls, text)
        mark.good = good
        return mark


def figure(title: str, x: str, y: str, *traces: go.Bar | go.Scatter, **layout: object) -> go.Figure:
    made = go.Figure(traces)
    made.update_layout(
        title={"text": title, "font": {"size": 15}},
        xaxis_title=x,
        yaxis_title=y,
        template="plotly_white",
        colorway=COLOURS,
        height=340,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        **layout,
    )
    return made


def number(value: float | None) -> str:
    """Three or four digits that matter, whatever the size."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(cell: object) -> str:
    if isinstance(cell, Mark):
        return f"<td class='{'good' if cell.good else 'bad'}'>{escape(cell)}</td>"
    if isinstance(cell, float) or cell is None:
        return f"<td>{number(cell)}</td>"
    if isinstance(cell, int):
        return f"<td>{cell:,}</td>"
    return f"{TEXT_CELL}{escape(str(cell))}</td>"
