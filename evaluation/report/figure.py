"""Empty plotly figure in the style of the report page: readable on a light and on a dark background."""

from typing import Any

import plotly.graph_objects as go

# After Okabe and Ito: distinguishable with colour-blindness.
COLOURS = ("#1F83C4", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F")
INK, GRID = "#7a8290", "rgba(128,136,150,0.22)"


def figure(x: str, y: str, height: int = 420, *, title: str = "", **layout: Any) -> go.Figure:
    """Create a figure without traces.

    Args:
        x: title of the x axis.
        y: title of the y axis.
        height: pixels.
        title: caption above the plot. It is kept in `layout.meta` and written by the page, where it can wrap.
        layout: further attributes of plotly's layout.
    """
    made = go.Figure()
    made.update_layout(
        height=height,
        margin={"l": 64, "r": 24, "t": 16, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        colorway=COLOURS,
        hoverlabel={"font": {"family": "system-ui, sans-serif"}},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        meta=title or None,
        **layout,
    )
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID}
    made.update_xaxes(title=x, **axis)
    made.update_yaxes(title=y, **axis)
    return made
