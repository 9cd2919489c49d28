"""Extra tab of Locust's web UI with the measures of streamed answers, and their CSV download."""

import io
import json
from typing import TYPE_CHECKING

from flask import Flask, Response, make_response, render_template, request
from locust.web import WebUI

from loadtest.results.report import write_csv
from loadtest.results.rows import COLUMNS, rows

if TYPE_CHECKING:
    from loadtest.load_run import LoadRun

KEY = "team-measures"


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
            stats = {"key": KEY, "data": rows(load.result({}))}
            response.set_data(json.dumps({**response.get_json(), "extended_stats": [stats]}))
        return response

    app.add_url_rule("/exchanges/csv", view_func=exchanges_csv)
    app.before_request(with_tab)
    app.after_request(with_rows)
