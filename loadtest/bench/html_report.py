"""The benchmark as one HTML page."""

from collections.abc import Iterable

import plotly.graph_objects as go

from loadtest.bench.contenders import NAMES
from loadtest.bench.machine import sentence
from loadtest.bench.results import Results
from loadtest.bench.rows import MEASURES, OF_KIND
from loadtest.results.html import Mark, Page, figure


def html(results: Results) -> str:
    page = Page("Side by side", sentence(dict(results.machine)))
    page.heading("Aims", "This server's default policy; x is a ratio to vLLM's servers with a team by hand.")
    page.table(
        ("aim", "measured", "verdict"),
        [(str(j.aim), j.value, Mark("met" if j.met else "missed", j.met)) for j in results.judged()],
    )
    page.heading("All rows", "In brackets the ratio to vLLM's servers with a team by hand.")
    page.table(
        ("row", "measure", *(_title(column) for column in results.columns())),
        [(title, measure, *shown) for title, measure, shown in results.lines()],
    )
    page.heading("Measures")
    page.table(("measure", "formula"), list(MEASURES.items()))
    page.heading("Plots")
    page.plots(_figures(results))
    return page.html()


def _title(column: str) -> str:
    name, _, policy = column.partition("-")
    return f"{NAMES[name]}, prefill {policy}" if policy else NAMES[name]


def _figures(results: Results) -> Iterable[go.Figure]:
    for kind, noun in (("pass", "one model"), ("team", "moa-lite")):
        rows = [row for row in results.rows if row.kind == kind and row.id in results.cells]
        for measure in OF_KIND[kind] if rows else ():
            bars = [
                go.Bar(
                    x=[row.id.removeprefix(f"{kind}-") for row in rows],
                    y=[results.value(row.id, column, measure) for row in rows],
                    name=column,
                )
                for column in results.columns()
                if any(results.value(row.id, column, measure) is not None for row in rows)
            ]
            axis = "streams" if kind == "pass" else "tokens per proposal - at a time"
            if bars:
                yield figure(f"{noun}: {measure}", axis, measure, *bars, barmode="group", xaxis_type="category")
