"""Plotly figures in the style of the report page.

Colours are names of the stylesheet's variables, such as `var(--series-1)`; the page replaces them by the values of the
light or the dark scheme when it draws.
"""

from itertools import count
from typing import Any

import plotly.graph_objects as go

COLOURS = tuple(f"var(--series-{number})" for number in range(1, 9))
INK, GRID, EDGE, ERROR = "var(--soft)", "var(--line)", "var(--edge)", "var(--bad)"
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
PATTERNS = ("", "/", "x", ".")


def figure(x: str, y: str, height: int = 420, *, title: str = "", wide: bool = False, **layout: Any) -> go.Figure:
    """Create a figure without traces.

    Args:
        x: title of the x axis.
        y: title of the y axis.
        height: pixels, without the legend, for which the page adds what it needs.
        title: caption above the plot. It is kept in `layout.meta` and written by the page, where it can wrap.
        wide: give the plot the whole width of the page; the first one of a section has it anyway.
        layout: further attributes of plotly's layout.
    """
    made = go.Figure()
    made.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 24, "t": 16, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        hoverlabel={"font": {"family": "system-ui, sans-serif"}},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"},
        meta={"title": title, "wide": wide},
        **layout,
    )
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "title": {"font": {"size": 13}}}
    made.update_xaxes(title_text=x, **axis)
    made.update_yaxes(title_text=y, **axis)
    return made


def colour(number: int) -> str:
    """Return the colour of a plot's series `number`, from 0; they repeat after eight."""
    return COLOURS[number % len(COLOURS)]


def distinct(plot: go.Figure) -> go.Figure:
    """Give each trace without a colour one of its own, and after eight another dash, symbol or pattern as well.

    No two of 32 entries of a legend look alike.
    """
    free = count()
    for trace in plot.data:
        own = trace.line.color if trace.type == "scatter" and "lines" in (trace.mode or "lines") else None
        if own is not None or trace.marker.color is not None:
            continue
        number = next(free)
        again = number // len(COLOURS) % len(DASHES)
        trace.marker.color = colour(number)
        if trace.type == "bar":
            if trace.marker.pattern.shape is None:
                trace.marker.pattern.shape = PATTERNS[again]
            continue
        trace.line.color = colour(number)
        if trace.line.dash is None:
            trace.line.dash = DASHES[again]
        if trace.marker.symbol is None:
            trace.marker.symbol = SYMBOLS[again]
    return plot
