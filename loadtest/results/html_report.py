"""HTML report of a load test: the SLO's verdicts, the measures and plots."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import plotly.graph_objects as go

from evaluation.report import page
from evaluation.report.figure import COLOURS, figure
from evaluation.report.section import Section
from loadtest.results.cells import table, verdict
from loadtest.results.exchange import Exchange
from loadtest.results.metrics import FORMULAS, QUANTILES, answer_ms, e2e_ms, lag_ms, tpot_ms, ttft_ms
from loadtest.results.report import COUNTS, RATES, Result
from loadtest.results.slo import Slo

POINTS = 400  # per distribution curve; bounds the size of the file
HEIGHT_PX = 340
ERROR_COLOUR = "#d13438"


def render(result: Result) -> str:
    """Render the report as one self-contained HTML file."""
    settings = ", ".join(f"{name} {value}" for name, value in result.settings.items() if value not in ("", None))
    return page.render("Load test", tuple(_sections(result)), lead=settings)


def _sections(result: Result) -> Iterable[Section]:
    summary = result.summary
    if result.verdicts:
        rows = [(str(v.limit), v.value, verdict(v.met, "failed")) for v in result.verdicts]
        yield Section("slo", "SLO", str(result.slo), (table(("limit", "measured", "verdict"), rows),))
    quantiles = [f"p{share * 100:g}" for share in QUANTILES]
    measured = [
        (name, d.count, d.mean, d.p50, d.p90, d.p95, d.p99, d.max, FORMULAS[name])
        for name, d in summary.distributions.items()
    ]
    columns = ("measure", "n", "mean", *quantiles, "max", "formula")
    yield Section("measures", "Measures", "Milliseconds.", (table(columns, measured),))
    rates = [(name, getattr(summary, name), FORMULAS.get(name, "")) for name in (*COUNTS, *RATES)]
    yield Section("rates", "Rates and shares", "", (table(("measure", "value", "formula"), rates),))
    if summary.errors:
        yield Section("errors", "Errors", "", (table(("kind", "requests"), summary.errors.items()),))
    yield Section("plots", "Plots", "", figures=tuple(_figures(result)))


def _figures(result: Result) -> Iterable[go.Figure]:
    exchanges = result.exchanges
    completed = [exchange for exchange in exchanges if exchange.error is None]
    yield _over_time(result)
    yield _distribution("End to end", result, e2e_ms)
    yield _distribution("Time to first answer token", result, answer_ms)
    yield _distribution("Time to first token of any kind", result, ttft_ms)
    yield _distribution("Time per output token", result, tpot_ms)
    gaps = [gap * 1000 for exchange in completed for gap in exchange.gaps_s]
    if gaps:
        plot = figure("ms", "share of gaps", HEIGHT_PX, title="Inter-token latency")
        yield plot.add_trace(_cumulative(gaps, "all gaps"))
    yield _throughput(exchanges, result.slo)
    yield _open(exchanges)
    planned = [exchange for exchange in exchanges if exchange.planned_s is not None]
    if planned:
        plot = figure("planned at, s", "ms", HEIGHT_PX, title="Schedule lag")
        yield plot.add_scatter(
            x=[e.planned_s for e in planned], y=[lag_ms(e) for e in planned], mode="markers", name="lag"
        )


def _over_time(result: Result) -> go.Figure:
    plot = figure("sent at, s", "ms", HEIGHT_PX, title="Each request's end-to-end time")
    for name, members in result.by_scenario().items():
        completed = [exchange for exchange in members if exchange.error is None]
        plot.add_scatter(
            x=[e.sent_s for e in completed], y=[e2e_ms(e) for e in completed], mode="markers", name=name, opacity=0.7
        )
    failed = [exchange for exchange in result.exchanges if exchange.error is not None]
    if failed:
        plot.add_scatter(
            x=[e.sent_s for e in failed],
            y=[e2e_ms(e) for e in failed],
            text=[e.error for e in failed],
            mode="markers",
            name="errors",
            marker={"symbol": "x", "color": ERROR_COLOUR},
        )
    return plot


def _distribution(title: str, result: Result, measure: Callable[[Exchange], float | None]) -> go.Figure:
    plot = figure("ms", "share of requests", HEIGHT_PX, title=title)
    for name, members in result.by_scenario().items():
        values = [v for e in members if e.error is None and (v := measure(e)) is not None and not np.isnan(v)]
        if values:
            plot.add_trace(_cumulative(values, name))
    return plot


def _cumulative(values: Sequence[float], name: str) -> go.Scatter:
    shares = np.linspace(0, 1, POINTS)
    return go.Scatter(x=np.quantile(values, shares).tolist(), y=shares.tolist(), name=name)


def _throughput(exchanges: Sequence[Exchange], slo: Slo) -> go.Figure:
    """Plot the requests per second, by the second in which they ended."""
    colours = {"good": COLOURS[0], "outside the SLO": COLOURS[4], "errors": ERROR_COLOUR}
    ended: dict[str, Counter[int]] = {kind: Counter() for kind in colours}
    for exchange in exchanges:
        kind = "errors" if exchange.error else "good" if slo.good(exchange) else "outside the SLO"
        ended[kind][int(exchange.sent_s + exchange.total_s)] += 1
    plot = figure("s", "requests/s", HEIGHT_PX, title="Requests that ended", barmode="stack")
    for kind, counts in ended.items():
        if counts:
            plot.add_bar(x=list(counts), y=list(counts.values()), name=kind, marker={"color": colours[kind]})
    return plot


def _open(exchanges: Sequence[Exchange]) -> go.Figure:
    steps = sorted([(exchange.sent_s, 1) for exchange in exchanges] + [(e.sent_s + e.total_s, -1) for e in exchanges])
    levels = np.cumsum([step for _, step in steps]).tolist()
    plot = figure("s", "requests", HEIGHT_PX, title="Open requests")
    return plot.add_scatter(x=[at_s for at_s, _ in steps], y=levels, line={"shape": "hv"}, name="open")
