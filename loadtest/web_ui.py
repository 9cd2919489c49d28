"""Extra tab of Locust's web UI with the measures of streamed answers, and their CSV download."""

import io
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, make_response, render_template, request
from locust.web import WebUI

from loadtest.results.exchange import Exchange
from loadtest.results.metrics import FORMULAS, QUANTILES, Summary, summarise
from loadtest.results.report import write_csv

if TYPE_CHECKING:
    from loadtest.load_run import LoadRun

KEY = "team-measures"
COLUMNS = ("measure", "scenario", "value", *(f"p{share * 100:g}" for share in QUANTILES), "max", "formula")


def extend(ui: WebUI, load: "LoadRun") -> None:
    """Add the tab to `/`, its rows to Locust's polling, and `/exchanges/csv` to the downloads."""
    app = ui.app
    assert isinstance(app, Flask)

    def exchanges_csv() -> Response:
        text = io.StringIO()
        write_csv(text, load.recorder.exchanges)
        response = make_response(text.getvalue())
        response.headers["Content-Type"] = "text/csv"
        response.headers["Content-Disposition"] = "attachment; filename=exchanges.csv"
        return response

    def with_tab() -> str | None:
        if request.path != "/":
            return None
        ui.update_template_args()  # type: ignore[no-untyped-call]  # Locust has no annotation here
        tab = {
            "extended_tabs": [{"title": "Measures", "key": KEY}],
            "extended_tables": [{"key": KEY, "structure": [{"key": name, "title": name} for name in COLUMNS]}],
            "extended_csv_files": [{"href": "./exchanges/csv", "title": "Download every request as CSV"}],
        }
        return render_template("index.html", template_args={**ui.template_args, **tab})

    def with_rows(response: Response) -> Response:
        if request.path == "/stats/requests" and response.is_json:
            stats = {"key": KEY, "data": rows(load)}
            response.set_data(json.dumps({**response.get_json(), "extended_stats": [stats]}))
        return response

    app.add_url_rule("/exchanges/csv", view_func=exchanges_csv)
    app.before_request(with_tab)
    app.after_request(with_rows)


def rows(load: "LoadRun") -> list[dict[str, Any]]:
    """Rows of the table: each measure over all requests, then by scenario if there are several."""
    exchanges = list(load.recorder.exchanges)
    if not exchanges:
        return []
    scenarios = sorted({exchange.scenario for exchange in exchanges})
    groups: list[tuple[str, Iterable[Exchange]]] = [("all", exchanges)]
    if len(scenarios) > 1:
        groups += [(name, [exchange for exchange in exchanges if exchange.scenario == name]) for name in scenarios]
    table: list[dict[str, Any]] = []
    for scenario, members in groups:
        summary = summarise(list(members), load.recorder.elapsed_s, load.options.slo.good)
        table.extend({**row, "scenario": scenario} for row in _measures(summary))
    return table


def _measures(summary: Summary) -> Iterable[dict[str, Any]]:
    for name, formula in FORMULAS.items():
        if (found := summary.distributions.get(name)) is not None:
            quantiles = {
                f"p{share * 100:g}": round(value, 1)
                for share, value in zip(QUANTILES, (found.p50, found.p90, found.p95, found.p99), strict=True)
            }
            yield {
                "measure": name,
                "value": f"mean {found.mean:.1f}",
                **quantiles,
                "max": round(found.max, 1),
                "formula": formula,
            }
        elif hasattr(summary, name):
            value = getattr(summary, name)
            yield {"measure": name, "value": "unknown" if value is None else round(value, 3), "formula": formula}
    for kind, number in summary.errors.items():
        yield {"measure": "error", "value": f"{number} x {kind}", "formula": "requests with this error"}
