"""Plots of the report, one function each."""

import math
from collections.abc import Callable, Sequence, Set
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from evaluation.analysis.accuracy import ArmAccuracy
from evaluation.analysis.fit import Plane
from evaluation.analysis.layers import LayerCell
from evaluation.analysis.proposers import ProposerPoint
from evaluation.analysis.recommend import UNITS, Currency, Offer, pareto_front
from evaluation.analysis.similarity import Similarity
from evaluation.report.figure import COLOURS, INK, figure
from evaluation.report.labels import place

COST_TITLES: dict[Currency, str] = {
    "tokens": "tokens per answer, all agents",
    "usd": "US$ per answer",
    "latency_s": "seconds to the complete answer",
    "tflops": "tera operations per answer, all agents",
}


def _bars(low: Sequence[float], value: Sequence[float], high: Sequence[float]) -> dict[str, Any]:
    """Error bars of percentages given as shares."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (top - at) for top, at in zip(high, value, strict=True)],
        "arrayminus": [100 * (at - bottom) for bottom, at in zip(low, value, strict=True)],
        "thickness": 1,
        "width": 3,
        "color": "rgba(128,136,150,0.75)",
    }


def pareto(every: Sequence[Offer], currency: Currency, chosen: str | None, *, wide: bool = True) -> go.Figure:
    """Accuracy over cost: the front as a stepped line, dominated arms hollow, the recommended arm as a star."""
    front = pareto_front(every)
    best = {offer.arm for offer in front}
    height = 480 if wide else 400
    plot = figure(COST_TITLES[currency], "accuracy, %", height, showlegend=False)
    plot.add_scatter(
        x=[offer.cost for offer in front],
        y=[100 * offer.quality.value for offer in front],
        mode="lines",
        line={"shape": "hv", "width": 1.5, "color": COLOURS[0], "dash": "dot"},
        hoverinfo="skip",
    )
    for offer in every:
        quality = offer.quality
        colour = _offer_colour(offer.arm, best, chosen)
        plot.add_scatter(
            x=[offer.cost],
            y=[100 * quality.value],
            error_y=_bars([quality.low], [quality.value], [quality.high]),
            mode="markers",
            marker={
                "size": 14 if offer.arm == chosen else 10,
                "color": colour,
                "symbol": "star" if offer.arm == chosen else "circle" if offer.arm in best else "circle-open",
            },
            hovertemplate=f"{offer.arm}<br>%{{y:.1f}}%<br>%{{x:,.4g}} {UNITS[currency]}<extra></extra>",
        )
    _name_offers(plot, every, (1000 if wide else 440, height - 72), lambda arm: _offer_colour(arm, best, chosen))
    return plot


def _offer_colour(arm: str, best: Set[str], chosen: str | None) -> str:
    return COLOURS[1] if arm == chosen else COLOURS[0] if arm in best else INK


def _name_offers(plot: go.Figure, every: Sequence[Offer], size: tuple[int, int], colour: Callable[[str], str]) -> None:
    """Set the range of both axes and label each arm where nothing is covered. `size`: of the plot, in pixels."""
    costs = [offer.cost for offer in every]
    logarithmic = min(costs) > 0 and max(costs) > 20 * min(costs)
    xs = [math.log10(cost) for cost in costs] if logarithmic else costs
    ys = [100 * offer.quality.value for offer in every]
    x_range = _range(xs, xs)
    y_range = _range([100 * offer.quality.low for offer in every], [100 * offer.quality.high for offer in every])
    points = {offer.arm: (_within(x, x_range), _within(y, y_range)) for offer, x, y in zip(every, xs, ys, strict=True)}
    front = [points[offer.arm] for offer in pareto_front(every)]
    steps = [corner for left, right in pairwise(front) for corner in (left, (right[0], left[1]), right)]
    labels = place(list(points.values()), list(points), size, steps)
    for offer, x, y, label in zip(every, xs, ys, labels, strict=True):
        plot.add_annotation(
            x=x,
            y=y,
            text=offer.arm,
            xshift=label.right,
            yshift=label.up,
            showarrow=False,
            font={"size": 12, "color": colour(offer.arm)},
        )
    plot.update_yaxes(range=y_range)
    plot.update_xaxes(range=x_range)
    if logarithmic:
        decades = range(math.floor(x_range[0]), math.ceil(x_range[1]) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        plot.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,.10g}" for tick in ticks])


def _range(low: Sequence[float], high: Sequence[float]) -> tuple[float, float]:
    margin = 0.06 * ((max(high) - min(low)) or 1.0)
    return min(low) - margin, max(high) + margin


def _within(value: float, limits: tuple[float, float]) -> float:
    return (value - limits[0]) / (limits[1] - limits[0])


def by_task(arms: Sequence[ArmAccuracy]) -> go.Figure:
    """Grouped bars: accuracy of every arm on every task."""
    tasks = list(dict.fromkeys(task for arm in arms for task in arm.tasks))
    plot = figure("", "accuracy, %", barmode="group")
    for task in tasks:
        own = [(arm.arm, arm.tasks[task]) for arm in arms if task in arm.tasks]
        parts = [part for _, part in own]
        plot.add_bar(
            name=task,
            x=[arm for arm, _ in own],
            y=[100 * part.value for part in parts],
            error_y=_bars([part.low for part in parts], [part.value for part in parts], [part.high for part in parts]),
            hovertemplate="%{x}<br>%{y:.1f}%<extra>" + task + "</extra>",
        )
    plot.update_yaxes(range=[0, 105])
    return plot


def proposers(points: Sequence[ProposerPoint]) -> go.Figure:
    """Accuracy over the number of proposers, a line for each setting and aggregator."""
    plot = figure("proposers", "accuracy, %")
    for aggregator, setting in dict.fromkeys((point.aggregator, point.setting) for point in points):
        own = [point for point in points if (point.aggregator, point.setting) == (aggregator, setting)]
        values = [point.accuracy for point in own]
        plot.add_scatter(
            name=f"{setting}, aggregated by {aggregator}",
            x=[point.proposers for point in own],
            y=[100 * value.value for value in values],
            error_y=_bars(
                [value.low for value in values], [value.value for value in values], [value.high for value in values]
            ),
            mode="lines+markers",
            line={"dash": "solid" if setting == "several models" else "dash"},
        )
    plot.update_xaxes(dtick=1)
    return plot


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
            error_y=_bars(
                [value.low for value in values], [value.value for value in values], [value.high for value in values]
            ),
            mode="lines+markers",
            marker={"size": 10, "symbol": ["star" if cell.role == "aggregator" else "circle" for cell in own]},
        )
    plot.update_xaxes(dtick=1)
    return plot


def similarity(table: Sequence[Similarity]) -> go.Figure:
    """Similarity of the final answer to right and to wrong proposals."""
    plot = figure("", "similarity to the final answer", barmode="group")
    for metric, colour in zip(dict.fromkeys(entry.metric for entry in table), COLOURS, strict=False):
        own = [entry for entry in table if entry.metric == metric]
        for kind, opacity in (("right", 1.0), ("wrong", 0.4)):
            values = [entry.to_right if kind == "right" else entry.to_wrong for entry in own]
            plot.add_bar(
                name=f"{metric}, {kind} proposals",
                x=[entry.arm for entry in own],
                y=values,
                marker={"color": colour, "opacity": opacity},
            )
    plot.update_yaxes(range=[0, 1.02])
    return plot


def plane(fitted: Plane) -> go.Figure:
    """Quality over diversity of each team's proposals, coloured by the accuracy of the final answer."""
    plot = figure("diversity of the proposals (Vendi score)", "accuracy of the proposals, %", 400)
    plot.add_scatter(
        x=[point.diversity for point in fitted.points],
        y=[100 * point.quality for point in fitted.points],
        mode="markers+text",
        text=[point.arm for point in fitted.points],
        textposition="top center",
        marker={
            "size": 16,
            "color": [100 * point.accuracy for point in fitted.points],
            "colorscale": "Viridis",
            "showscale": True,
            "colorbar": {"title": {"text": "final, %"}, "thickness": 12},
        },
        hovertemplate="%{text}<br>q %{y:.1f}%, d %{x:.2f}<br>final %{marker.color:.1f}%<extra></extra>",
    )
    return plot
