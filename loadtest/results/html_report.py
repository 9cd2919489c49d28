"""HTML report of a load test: the SLO's verdicts, the measures and plots."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from evaluation.report import page
from evaluation.report.figure import COLOURS, ERROR, figure
from evaluation.report.section import Section
from loadtest.results.cells import table, verdict
from loadtest.results.exchange import Exchange
from loadtest.results.metrics import FORMULAS, QUANTILES, answer_ms, e2e_ms, lag_ms, tpot_ms, ttft_ms
from loadtest.results.report import COUNTS, Result
from loadtest.results.slo import RUN_MEASURES, Slo

POINTS = 3000  # per plot, shared by its lines or clouds of points; bounds the size of the file
BARS = 600  # per plot of what ended when
HEIGHT_PX = 340


def render(result: Result) -> str:
    """Render the report as one self-contained HTML file."""
    settings = ", ".join(f"{name} {value}" for name, value in result.settings.items() if value not in ("", None))
    facts = tuple(_facts(result))
    return page.render("Load test", tuple(_sections(result)), lead=settings, facts=facts, advice=result.verdict)


def _facts(result: Result) -> Iterable[tuple[str, str]]:
    summary = result.summary
    yield "passed" if result.passed else "FAILED", "verdict"
    yield f"{summary.requests:,}", "requests"
    yield f"{summary.requests_per_s:.3g}", "successful requests/s"
    yield f"{100 * summary.error_share:.3g}%", "failed"
    for name, what in (("answer_ms", "first answer token"), ("e2e_ms", "end to end")):
        if (found := summary.distributions.get(name)) is not None:
            yield f"{found.p95 / 1000:.3g} s", f"p95, {what}"


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
    if measured:
        yield Section("measures", "Measures", "Milliseconds.", (table(columns, measured),))
    rates = [(name, getattr(summary, name), FORMULAS.get(name, "")) for name in (*COUNTS, *RUN_MEASURES)]
    yield Section("rates", "Rates and shares", "", (table(("measure", "value", "formula"), rates),))
    if summary.errors:
        yield Section("errors", "Errors", "", (table(("kind", "requests"), summary.errors.items()),))
    if plots := tuple(figures(result)):
        yield Section("plots", "Plots", "", figures=plots)


def figures(result: Result) -> Iterable[go.Figure]:
    """Return the plots; those without data are left out."""
    exchanges = result.exchanges
    completed = [exchange for exchange in exchanges if exchange.error is None]
    gaps = [gap * 1000 for exchange in completed for gap in exchange.gaps_s]
    plots = [
        _over_time(result),
        _distribution("End to end", result, e2e_ms),
        _distribution("Time to first answer token", result, answer_ms),
        _distribution("Time to first token of any kind", result, ttft_ms),
        _distribution("Time per output token", result, tpot_ms),
        _cumulative(figure("ms", "share of gaps", HEIGHT_PX, title="Inter-token latency"), "all gaps", gaps),
        _throughput(exchanges, result.slo),
        _open(exchanges),
        _lag(exchanges),
    ]
    yield from (plot for plot in plots if plot.data)


def _over_time(result: Result) -> go.Figure:
    groups = result.by_scenario()
    most = POINTS // (len(groups) + 1)  # one more for the errors
    plot = _cloud("sent at, s", "Each request's end-to-end time", len(result.exchanges), len(groups) + 1)
    for name, members in groups.items():
        completed = _spread([exchange for exchange in members if exchange.error is None], most)
        if completed:
            plot.add_scatter(
                x=[round(e.sent_s, 2) for e in completed],
                y=[_rounded(e2e_ms(e)) for e in completed],
                mode="markers",
                name=name,
                opacity=0.7,
            )
    failed = _spread([exchange for exchange in result.exchanges if exchange.error is not None], most)
    if failed:
        plot.add_scatter(
            x=[round(e.sent_s, 2) for e in failed],
            y=[_rounded(e2e_ms(e)) for e in failed],
            text=[escape(str(e.error)) for e in failed],
            mode="markers",
            name="errors",
            marker={"symbol": "x", "color": ERROR},
        )
    return plot


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _lag(exchanges: Sequence[Exchange]) -> go.Figure:
    planned = [exchange for exchange in exchanges if exchange.planned_s is not None]
    plot = _cloud("planned at, s", "Schedule lag", len(planned), 1)
    if not planned:
        return plot
    shown = _spread(planned, POINTS)
    return plot.add_scatter(
        x=[round(e.planned_s or 0.0, 2) for e in shown],
        y=[_rounded(lag_ms(e)) for e in shown],
        mode="markers",
        name="lag",
    )


def _cloud(x: str, title: str, points: int, kinds: int) -> go.Figure:
    """Figure of points in ms; the title says so if there may be more than it shows."""
    if points > POINTS // kinds:
        title += f"; of each kind at most {POINTS // kinds:,} requests, evenly spread"
    return figure(x, "ms", HEIGHT_PX, title=title)


def _spread(members: Sequence[Exchange], most: int) -> Sequence[Exchange]:
    """Return at most `most` of the exchanges: the first, the last, and others at equal distances."""
    if len(members) <= most:
        return members
    return [members[round(at)] for at in np.linspace(0, len(members) - 1, most)]


def _distribution(title: str, result: Result, measure: Callable[[Exchange], float | None]) -> go.Figure:
    plot = figure("ms", "share of requests", HEIGHT_PX, title=title)
    groups = result.by_scenario()
    for name, members in groups.items():
        values = [v for e in members if e.error is None and (v := measure(e)) is not None and not np.isnan(v)]
        _cumulative(plot, name, values, POINTS // len(groups))
    return plot


def _cumulative(plot: go.Figure, name: str, values: Sequence[float], most: int = POINTS) -> go.Figure:
    """Add the empirical distribution as steps: at each value, the share of values that are at most as large.

    Of more than `most` values it has the steps at that many evenly spaced shares, each at a measured value.
    """
    if not values:
        return plot
    ordered = np.sort(values)
    count = min(len(ordered), most)
    ranks = np.ceil(np.linspace(0, len(ordered), count + 1)[1:]).astype(int)  # from 1; all of them for few values
    x = np.concatenate([ordered[:1], ordered[ranks - 1]])
    y = np.concatenate([[0.0], ranks / len(ordered)])
    plot.update_yaxes(range=[0, 1.03])
    return plot.add_scatter(x=x.round(2).tolist(), y=y.round(5).tolist(), mode="lines", line={"shape": "hv"}, name=name)


def _throughput(exchanges: Sequence[Exchange], slo: Slo) -> go.Figure:
    """Plot the requests per second by when they ended: in each second, or in longer bars if there are many seconds."""
    colours = {"good": COLOURS[0], "outside the SLO": COLOURS[4], "errors": ERROR}
    last_s = max((e.sent_s + e.total_s for e in exchanges), default=0.0)
    width_s = math.ceil((last_s + 1) / BARS)
    ended: dict[str, Counter[int]] = {kind: Counter() for kind in colours}
    for exchange in exchanges:
        kind = "errors" if exchange.error else "good" if slo.good(exchange) else "outside the SLO"
        ended[kind][int((exchange.sent_s + exchange.total_s) // width_s)] += 1
    plot = figure("s", "requests/s", HEIGHT_PX, title="Requests that ended", barmode="stack")
    for kind, counts in ended.items():
        if counts:
            plot.add_bar(
                x=[(bar + 0.5) * width_s for bar in sorted(counts)],
                y=[round(counts[bar] / width_s, 3) for bar in sorted(counts)],
                width=width_s,
                name=kind,
                marker={"color": colours[kind]},
            )
    return plot


def _open(exchanges: Sequence[Exchange]) -> go.Figure:
    """Plot the number of open requests; of many changes, the most that were open in each of `POINTS` parts of them."""
    steps = sorted([(exchange.sent_s, 1) for exchange in exchanges] + [(e.sent_s + e.total_s, -1) for e in exchanges])
    levels = np.cumsum([step for _, step in steps]).tolist()
    title = "Open requests"
    every = [(at_s, level) for (at_s, _), level in zip(steps, levels, strict=True)]
    if len(every) > POINTS:
        title += ", the most at each time"
        size = math.ceil(len(every) / POINTS)
        parts = [every[start : start + size] for start in range(0, len(every), size)]
        every = [(part[0][0], max(level for _, level in part)) for part in parts] + every[-1:]
    plot = figure("s", "requests", HEIGHT_PX, title=title)
    if not every:
        return plot
    return plot.add_scatter(
        x=[round(at_s, 3) for at_s, _ in every],
        y=[level for _, level in every],
        mode="lines",
        line={"shape": "hv"},
        name="open",
    )
