"""Plots of the report, one function each."""

import math
from collections.abc import Callable, Sequence, Set
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from evaluation.analysis.accuracy import ArmAccuracy
from evaluation.analysis.fit import Plane
from evaluation.analysis.layers import LayerCell
from evaluation.analysis.proposers import ProposerPoint
from evaluation.analysis.recommend import Offer, pareto_front
from evaluation.analysis.similarity import Similarity
from evaluation.analysis.stats import Share
from evaluation.report.axes import Axis
from evaluation.report.figure import COLOURS, DASHES, EDGE, INK, SYMBOLS, colour, figure


def _bars(shares: Sequence[Share]) -> dict[str, Any]:
    """Error bars of shares in percent."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (share.high - share.value) for share in shares],
        "arrayminus": [100 * (share.value - share.low) for share in shares],
        "thickness": 1,
        "width": 3,
        "color": EDGE,
    }


def pareto(every: Sequence[Offer], axis: Axis, chosen: str | None) -> go.Figure:
    """Accuracy over cost: the front as a stepped line, dominated arms hollow, the recommended arm as a star.

    The page places the arms' names, which are in `layout.meta.labels` with their points in units of the axes.
    """
    front = pareto_front(every)
    best = {offer.arm for offer in front}
    plot = figure(axis.title, "accuracy, %", 480, title=axis.caption, wide=axis.wide, showlegend=False)
    plot.add_scatter(
        x=[offer.cost for offer in front],
        y=[100 * offer.quality.value for offer in front],
        mode="lines",
        line={"shape": "hv", "width": 1.5, "color": COLOURS[0], "dash": "dot"},
        hoverinfo="skip",
    )
    for offer in every:
        quality = offer.quality
        tokens = "" if axis.unit == "tokens" or offer.tokens is None else f"<br>{offer.tokens:,.0f} tokens"
        plot.add_scatter(
            x=[offer.cost],
            y=[100 * quality.value],
            error_y=_bars([quality]),
            mode="markers",
            marker={
                "size": 14 if offer.arm == chosen else 10,
                "color": _offer_colour(offer.arm, best, chosen),
                "symbol": "star" if offer.arm == chosen else "circle" if offer.arm in best else "circle-open",
            },
            hovertemplate=f"{escape(offer.arm)}<br>%{{y:.1f}}%<br>%{{x:,.4g}} {axis.unit}{tokens}<extra></extra>",
        )
    _add_labels(plot, every, lambda arm: _offer_colour(arm, best, chosen))
    return plot


def _offer_colour(arm: str, best: Set[str], chosen: str | None) -> str:
    return COLOURS[1] if arm == chosen else COLOURS[0] if arm in best else INK


def _add_labels(plot: go.Figure, every: Sequence[Offer], colour: Callable[[str], str]) -> None:
    """Set the range of both axes, which places need, and hand the names, points and the front's corners to the page."""
    costs = [offer.cost for offer in every]
    logarithmic = min(costs) > 0 and max(costs) > 20 * min(costs)
    xs = [math.log10(cost) for cost in costs] if logarithmic else costs
    x_range = _range(xs, xs)
    plot.update_xaxes(range=x_range)
    plot.update_yaxes(
        range=_range([100 * offer.quality.low for offer in every], [100 * offer.quality.high for offer in every])
    )
    front = [(offer.cost, 100 * offer.quality.value) for offer in pareto_front(every)]
    steps = [corner for left, right in pairwise(front) for corner in (left, (right[0], left[1]), right)]
    labels = [
        _label(
            offer.arm,
            cost,
            100 * offer.quality.value,
            low=100 * offer.quality.low,
            high=100 * offer.quality.high,
            colour=colour(offer.arm),
        )
        for offer, cost in zip(every, costs, strict=True)
    ]
    plot.update_layout(meta={**plot.layout.meta, "labels": labels, "line": steps})
    if logarithmic:
        decades = range(math.floor(x_range[0]), math.ceil(x_range[1]) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        plot.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,.10g}" for tick in ticks])


def _range(low: Sequence[float], high: Sequence[float]) -> tuple[float, float]:
    margin = 0.06 * ((max(high) - min(low)) or 1.0)
    return min(low) - margin, max(high) + margin


def by_task(arms: Sequence[ArmAccuracy]) -> go.Figure:
    """Accuracy of every arm on every task: a line per arm, a marker per task.

    Arms are on the vertical axis, where long names can be read. Intervals are in the table.
    """
    tasks = list(dict.fromkeys(task for arm in arms for task in arm.tasks))
    plot = _by_arm("accuracy, %", [arm.arm for arm in arms])
    for task in tasks:
        own = [(arm.arm, 100 * arm.tasks[task].value) for arm in arms if task in arm.tasks]
        plot.add_scatter(
            name=task,
            x=[value for _, value in own],
            y=[arm for arm, _ in own],
            mode="markers",
            marker={"size": 10},
            hovertemplate="%{y}<br>%{x:.1f}%<extra>" + escape(task) + "</extra>",
        )
    return plot.update_xaxes(range=[-3, 103])


def proposers(points: Sequence[ProposerPoint]) -> go.Figure:
    """Accuracy over the number of proposers, a line for each setting and aggregator."""
    plot = figure("proposers", "accuracy, %")
    aggregators = list(dict.fromkeys(point.aggregator for point in points))
    for aggregator, setting in dict.fromkeys((point.aggregator, point.setting) for point in points):
        number = aggregators.index(aggregator)
        several = setting == "several models"
        own = [point for point in points if (point.aggregator, point.setting) == (aggregator, setting)]
        values = [point.accuracy for point in own]
        plot.add_scatter(
            name=f"{setting}, aggregated by {aggregator}",
            x=[point.proposers for point in own],
            y=[100 * value.value for value in values],
            error_y=_bars(values),
            mode="lines+markers",
            line={"color": colour(number), "dash": DASHES[0 if several else 1]},
            marker={"color": colour(number), "size": 9, "symbol": _symbol(number, hollow=not several)},
        )
    plot.update_xaxes(dtick=1)
    return plot


def _symbol(number: int, *, hollow: bool) -> str:
    """Symbol of series `number`: another one each time the colours begin again."""
    return SYMBOLS[number // len(COLOURS) % len(SYMBOLS)] + ("-open" if hollow else "")


def layers(cells: Sequence[LayerCell]) -> go.Figure:
    """Accuracy of one arm's models by layer."""
    plot = figure("layer", "accuracy of the model's own text, %", 360)
    for model in dict.fromkeys(cell.model for cell in cells):
        own = [cell for cell in cells if cell.model == model]
        values = [cell.accuracy for cell in own]
        plot.add_scatter(
            name=model,
            x=[cell.layer for cell in own],
            y=[100 * value.value for value in values],
            error_y=_bars(values),
            mode="lines+markers",
            marker={"size": 10, "symbol": ["star" if cell.role == "aggregator" else "circle" for cell in own]},
        )
    plot.update_xaxes(dtick=1)
    return plot


def similarity(table: Sequence[Similarity]) -> go.Figure:
    """Similarity of the final answer to right (filled) and to wrong proposals (hollow): a line per arm."""
    names = list(dict.fromkeys(entry.arm for entry in table))
    plot = _by_arm("similarity to the final answer", names)
    for number, metric in enumerate(dict.fromkeys(entry.metric for entry in table)):
        own = [entry for entry in table if entry.metric == metric]
        for right in (True, False):
            plot.add_scatter(
                name=f"{metric}, {'right' if right else 'wrong'} proposals",
                x=[entry.to_right if right else entry.to_wrong for entry in own],
                y=[entry.arm for entry in own],
                mode="markers",
                marker={"color": colour(number), "size": 11, "symbol": _symbol(number, hollow=not right)},
            )
    return plot.update_xaxes(range=[-0.03, 1.03])


def plane(fitted: Plane) -> go.Figure:
    """Quality over diversity of each team's proposals, coloured by the accuracy of the final answer."""
    points = [(point.diversity, 100 * point.quality) for point in fitted.points]
    plot = figure("diversity of the proposals (Vendi score)", "accuracy of the proposals, %", 400)
    plot.add_scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="markers",
        text=[escape(point.arm) for point in fitted.points],
        marker={
            "size": 14,
            "color": [100 * point.accuracy for point in fitted.points],
            "colorscale": "Viridis",
            "line": {"width": 1, "color": INK},
            "showscale": True,
            "colorbar": {"title": {"text": "final, %"}, "thickness": 12, "x": 1, "xpad": 8},
        },
        hovertemplate="%{text}<br>q %{y:.1f}%, d %{x:.2f}<br>final %{marker.color:.1f}%<extra></extra>",
    )
    plot.update_xaxes(range=_range([x for x, _ in points], [x for x, _ in points]))
    plot.update_yaxes(range=_range([y for _, y in points], [y for _, y in points]))
    plot.update_layout(margin={"r": 84})
    labels = [_label(point.arm, x, y) for point, (x, y) in zip(fitted.points, points, strict=True)]
    return plot.update_layout(meta={**plot.layout.meta, "labels": labels, "line": []})


def _by_arm(x: str, names: Sequence[str]) -> go.Figure:
    """Figure with a line per arm, the first at the top: long names can be read on the vertical axis."""
    widest = max(map(len, names), default=0)
    plot = figure(x, "", 110 + 26 * len(names), hovermode="closest")
    plot.update_yaxes(type="category", categoryorder="array", categoryarray=list(reversed(names)), title_text=None)
    return plot.update_layout(margin={"l": min(24 + 8 * widest, 240)})


def _label(
    arm: str, x: float, y: float, *, low: float | None = None, high: float | None = None, colour: str = INK
) -> dict[str, Any]:
    """Name that the page places beside the point; `low` and `high` are the ends of its error bar."""
    ends = {"low": y if low is None else low, "high": y if high is None else high}
    return {"text": arm, "x": x, "y": y, **ends, "colour": colour}
