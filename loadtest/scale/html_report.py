"""HTML report of the scale experiments."""

from collections.abc import Iterable

import plotly.graph_objects as go

from evaluation.report import page
from evaluation.report.figure import figure
from evaluation.report.section import Section
from loadtest.bench.machine import sentence
from loadtest.results.cells import table
from loadtest.scale.results import COLUMNS, ScaleResults

HEIGHT_PX = 340
AXIS = "orchestrator replicas"


def render(results: ScaleResults) -> str:
    """Render the report as one self-contained HTML file."""
    sections = (
        Section("findings", "Findings", "", (table(("",), [(text,) for text in results.sentences()]),)),
        Section(
            "replicas",
            "By orchestrator replicas",
            "Overhead: end to end minus the engines' own time, both layers together.",
            (table(COLUMNS, results.rows()),),
        ),
        Section("plots", "Plots", "", figures=tuple(_figures(results))),
    )
    return page.render("Scale of the orchestrator", sections, lead=sentence(results.machine))


def _figures(results: ScaleResults) -> Iterable[go.Figure]:
    replicas = [str(count) for count in results.capacities]
    plot = figure(AXIS, "requests/s", HEIGHT_PX, title="Requests per second")
    plot.add_bar(x=replicas, y=[found.requests_per_s for found in results.capacities.values()], name="requests/s")
    yield plot.update_xaxes(type="category")

    plot = figure(AXIS, "ms", HEIGHT_PX, title="Overhead", barmode="group")
    for name in ("p50", "p95", "p99"):
        values = [getattr(found.overhead_ms, name) for found in results.overheads.values()]
        plot.add_bar(x=replicas, y=values, name=name)
    yield plot.update_xaxes(type="category")

    plot = figure(AXIS, "cores", HEIGHT_PX, title="Cores used in the requests/s experiment", barmode="stack")
    for kind in dict.fromkeys(kind for found in results.capacities.values() for kind in found.usage.cores):
        values = [found.usage.cores.get(kind, 0.0) for found in results.capacities.values()]
        plot.add_bar(x=replicas, y=values, name=kind)
    yield plot.update_xaxes(type="category")
