"""The HTML report of a load run."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import plotly.graph_objects as go

from loadtest.results.exchange import Exchange
from loadtest.results.html import Mark, Page, figure
from loadtest.results.metrics import FORMULAS, QUANTILES, answer_ms, e2e_ms, lag_ms, quantile, tpot_ms, ttft_ms
from loadtest.results.report import COUNTS, RATES, Result
from loadtest.results.slo import Slo

POINTS = 400  # of a distribution's curve; more would only make the file larger


def html_report(result: Result) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in result.settings.items() if value not in ("", None))
    page = Page("Load test", settings)
    summary = result.summary
    if result.verdicts:
        page.heading("SLO", str(result.slo))
        page.table(
            ("limit", "measured", "verdict"),
            [(str(v.limit), v.value, Mark("met" if v.met else "failed", v.met)) for v in result.verdicts],
        )
    page.heading("Measures", "Milliseconds.")
    page.table(
        ("measure", "n", "mean", *(f"p{share * 100:g}" for share in QUANTILES), "max", "formula"),
        [
            (name, d.count, d.mean, d.p50, d.p90, d.p95, d.p99, d.max, FORMULAS[name])
            for name, d in summary.distributions.items()
        ],
    )
    page.heading("Rates and shares")
    page.table(
        ("measure", "value", "formula"),
        [(name, getattr(summary, name), FORMULAS.get(name, "")) for name in (*COUNTS, *RATES)],
    )
    if summary.errors:
        page.heading("Errors")
        page.table(("kind", "requests"), list(summary.errors.items()))
    page.heading("Plots")
    page.plots(_figures(result))
    return page.html()


def _figures(result: Result) -> Iterable[go.Figure]:
    exchanges = result.exchanges
    completed = [exchange for exchange in exchanges if exchange.error is None]
    yield _over_time(result)
    yield _distribution("End to end", result, e2e_ms)
    yield _distribution("Time to first answer token", result, answer_ms)
    yield _distribution("Time to first token of any kind", result, ttft_ms)
    yield _distribution("Time per output token", result, tpot_ms)
    gaps = sorted(gap * 1000 for exchange in completed for gap in exchange.gaps_s)
    if gaps:
        x, y = _cumulative(gaps)
        yield figure("Inter-token latency", "ms", "share of gaps", go.Scatter(x=x, y=y, name="all gaps"))
    yield _throughput(exchanges, result.slo)
    yield _open(exchanges)
    late = [exchange for exchange in exchanges if exchange.planned_s is not None]
    if late:
        points = go.Scatter(x=[e.planned_s for e in late], y=[lag_ms(e) for e in late], mode="markers", name="lag")
        yield figure("Schedule lag", "planned at, s", "ms", points)


def _over_time(result: Result) -> go.Figure:
    traces = []
    for name, members in result.by_scenario().items():
        well = [exchange for exchange in members if exchange.error is None]
        traces.append(
            go.Scatter(x=[e.sent_s for e in well], y=[e2e_ms(e) for e in well], mode="markers", name=name, opacity=0.7)
        )
    failed = [exchange for exchange in result.exchanges if exchange.error is not None]
    if failed:
        traces.append(
            go.Scatter(
                x=[e.sent_s for e in failed],
                y=[e2e_ms(e) for e in failed],
                text=[e.error for e in failed],
                mode="markers",
                name="errors",
                marker={"symbol": "x", "color": "#c5221f"},
            )
        )
    return figure("Each request's end-to-end time", "sent at, s", "ms", *traces)


def _distribution(title: str, result: Result, measure: Callable[[Exchange], float | None]) -> go.Figure:
    traces = []
    for name, members in result.by_scenario().items():
        values = sorted(v for e in members if e.error is None and (v := measure(e)) is not None and v == v)
        if values:
            x, y = _cumulative(values)
            traces.append(go.Scatter(x=x, y=y, name=name))
    return figure(title, "ms", "share of requests", *traces)


def _cumulative(ordered: Sequence[float]) -> tuple[list[float], list[float]]:
    shares = [index / (POINTS - 1) for index in range(POINTS)]
    return [quantile(ordered, share) for share in shares], shares


def _throughput(exchanges: Sequence[Exchange], slo: Slo) -> go.Figure:
    """Per second of the answer's end."""
    ended: dict[str, Counter[int]] = {"good": Counter(), "outside the SLO": Counter(), "errors": Counter()}
    for exchange in exchanges:
        kind = "errors" if exchange.error else "good" if slo.good(exchange) else "outside the SLO"
        ended[kind][int(exchange.sent_s + exchange.total_s)] += 1
    bars = [go.Bar(x=list(counts), y=list(counts.values()), name=kind) for kind, counts in ended.items() if counts]
    return figure("Requests that ended", "s", "requests/s", *bars, barmode="stack")


def _open(exchanges: Sequence[Exchange]) -> go.Figure:
    steps = sorted([(exchange.sent_s, 1) for exchange in exchanges] + [(e.sent_s + e.total_s, -1) for e in exchanges])
    x, y, level = [], [], 0
    for at_s, step in steps:
        level += step
        x.append(at_s)
        y.append(level)
    return figure("Open requests", "s", "requests", go.Scatter(x=x, y=y, line={"shape": "hv"}, name="open"))
