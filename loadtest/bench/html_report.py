"""HTML report of the side-by-side benchmark."""

from collections.abc import Iterable, Mapping
from itertools import groupby

import plotly.graph_objects as go

from evaluation.report import page
from evaluation.report.figure import figure
from evaluation.report.section import Section
from loadtest.bench.contenders import NAMES
from loadtest.bench.machine import sentence
from loadtest.bench.results import NOTE, Results
from loadtest.bench.rows import MEASURES, OF_KIND, Kind
from loadtest.results.cells import table, verdict

HEIGHT_PX = 340
PLOTTED: Mapping[Kind, tuple[str, str]] = {  # by kind of row: title and x axis
    "pass": ("one model", "streams"),
    "team": ("moa-lite", "tokens per proposal - concurrent requests"),
    "staircase": ("moa-staircase", "tokens per proposal - concurrent requests"),
}


def render(results: Results) -> str:
    """Render the report as one self-contained HTML file."""
    return page.render("Side by side", tuple(_sections(results)), lead=sentence(results.machine))


def _sections(results: Results) -> Iterable[Section]:
    judged = [(str(j.aim), j.value, verdict(j.met, "missed")) for j in results.judged()]
    yield Section(
        "aims",
        "Aims",
        "This server with its default prefill policy. An x is a ratio to vLLM's servers with client-side MoA.",
        (table(("aim", "measured", "verdict"), judged),),
    )
    compared = [
        (
            one.row.title,
            one.row.deciding,
            f"{one.ratio.median:.2f}x",
            f"{one.ratio.low:.2f} to {one.ratio.high:.2f}",
            one.verdict,
        )
        for one in results.verdicts()
    ]
    yield Section(
        "verdicts",
        "Each row",
        "This server with its default prefill policy, compared by the deciding measure of the row. The interval is that"
        " of the median over the rounds; equal: it contains 1. " + results.quiet(),
        (table(("row", "measure", "ratio", "interval", "verdict"), compared),),
    )
    rows = [
        ("" if position else title, measure, *shown)
        for title, lines in groupby(results.lines(), key=lambda line: line[0])
        for position, (_, measure, shown) in enumerate(lines)
    ]
    yield Section(
        "rows",
        "All rows",
        f"{NOTE} In brackets: the ratio to vLLM's servers with client-side MoA.",
        (table(("row", "measure", *(_title(column) for column in results.columns())), rows),),
    )
    yield Section("measures", "Measures", "", (table(("measure", "formula"), MEASURES.items()),))
    if plots := tuple(_figures(results)):
        yield Section("plots", "Plots", "", figures=plots)


def _title(column: str) -> str:
    name, _, policy = column.partition("-")
    return f"{NAMES[name]}, prefill {policy}" if policy else NAMES[name]


def _figures(results: Results) -> Iterable[go.Figure]:
    for kind, (noun, axis) in PLOTTED.items():
        rows = [row for row in results.rows if row.kind == kind and row.id in results.rounds]
        for measure in OF_KIND[kind]:
            plot = figure(axis, measure, HEIGHT_PX, title=f"{noun}: {measure}", barmode="group")
            plot.update_xaxes(type="category")
            for column in results.columns():
                values = [results.value(row.id, column, measure) for row in rows]
                if any(value is not None for value in values):
                    plot.add_bar(x=[row.id.removeprefix(f"{kind}-") for row in rows], y=values, name=column)
            if plot.data:
                yield plot
