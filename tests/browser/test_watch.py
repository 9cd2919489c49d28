"""The page of `python -m deployments.watch`: dashboards of Grafana's JSON, drawn from Prometheus' answers."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from deployments.watch.dashboards import dashboards
from deployments.watch.page import serving_page
from serving.ports import free_port
from tests.support.browser import new_page, wait_until

MODELS = ("tiny-qwen", "tiny.mixtral+1")
ALERT = {
    "state": "firing",
    "labels": {"alertname": "MoaQueue", "model": "tiny-qwen"},
    "annotations": {"summary": "Agents <b>wait</b>.", "runbook": "docs/operations.md#queues"},
}


class Prometheus:
    """Scripted answers of Prometheus' API; `asked`: the queries."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.value = "0.25"
        self.series = True
        self.alerts: list[Any] = []
        self.broken = False

    def answer(self, path: str, parameters: dict[str, list[str]]) -> Any:
        query = parameters.get("query", [""])[0]
        self.asked.append(query)
        if path.endswith("/values"):
            return list(MODELS)
        if path.endswith("/alerts"):
            return {"alerts": self.alerts}
        if path.endswith("/query"):
            return {"result": [{"metric": {}, "value": [0, self.value]}] if self.series else []}
        start, end = float(parameters["start"][0]), float(parameters["end"][0])
        points = [[start + (end - start) * part / 20, "NaN" if part == 3 else str(part)] for part in range(21)]
        labels = {"model": "tiny-qwen", "outcome": "straggler", "source": "GPUs", "code": "overloaded"}
        return {"result": [{"metric": labels, "values": points}] if self.series else []}


@contextmanager
def answering(prometheus: Prometheus) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            content = {"status": "error", "error": "query timed out"}
            if not prometheus.broken:
                content = {"status": "success", "data": prometheus.answer(parts.path, parse_qs(parts.query))}
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    port = free_port()
    with serving_page(port, f"http://127.0.0.1:{server.server_port}"):
        yield f"http://127.0.0.1:{port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def prometheus() -> Prometheus:
    return Prometheus()


@pytest.fixture
def url(prometheus: Prometheus) -> Iterator[str]:
    with answering(prometheus) as found:
        yield found


def drawn(page: Page) -> None:
    """Wait until every panel has a plot or a number."""
    expect(page.locator(".plot > *").first).to_be_visible()
    page.wait_for_function("[...document.querySelectorAll('.plot')].every((plot) => plot.firstElementChild)")


@pytest.mark.parametrize("name", list(dashboards()))
def test_every_panel_of_a_dashboard_is_drawn(page: Page, url: str, name: str) -> None:
    board = dashboards()[name]
    page.goto(f"{url}/#{name}")
    drawn(page)
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    expect(page.locator("section")).to_have_count(len(panels))
    expect(page.locator("section .plot svg.main-svg:first-child")).to_have_count(
        len([panel for panel in panels if panel["type"] == "timeseries"])
    )
    for panel in panels:
        section = page.locator(f"#panel-{panel['id']}")
        expect(section.locator("h3")).to_contain_text(panel["title"])
        expect(section.locator("p")).to_have_text(panel["description"])
    expect(page.locator("#problem")).to_be_hidden()
    assert not re.search(r"\$|undefined", "".join(page.locator(".legendtext").all_text_contents()))


def test_numbers_have_their_unit_and_their_color(page: Page, url: str) -> None:
    page.goto(url)
    numbers = page.locator(".number")
    expect(numbers).to_have_text(["0.25 req/s", "25%", "250 ms", "25%", "$0.25", "0.25"])
    assert [one.get_attribute("data-color") for one in numbers.all()][1::2] == ["red", "red", "green"]


def test_the_budget_is_a_dashed_line(page: Page, url: str) -> None:
    page.goto(url)
    drawn(page)
    lines = page.locator("section", has_text="Cost a day").locator(".legend .traces").all()
    dashed = {
        one.text_content(): "dasharray" in (one.locator("path.js-line").get_attribute("style") or "") for one in lines
    }
    assert dashed == {"GPUs": False, "budget of a day": True}


def test_links_open_the_other_dashboards(page: Page, url: str) -> None:
    page.goto(url)
    page.locator("section", has_text="Proposers by model").get_by_role("link", name="more").click()
    expect(page).to_have_title("MoA / Agents of recipes")
    page.get_by_role("navigation").get_by_role("link", name="Overview").click()
    expect(page.locator("nav a[aria-current]")).to_have_text("Overview")


def test_a_chosen_model_selects_its_series_only(page: Page, url: str, prometheus: Prometheus) -> None:
    page.goto(f"{url}/#requests")
    drawn(page)
    assert any('model=~".*"' in query for query in prometheus.asked)
    prometheus.asked.clear()
    page.get_by_label("Model or recipe").select_option("tiny.mixtral+1")
    queries: list[str] = []

    def asked() -> bool:
        queries[:] = [query for query in prometheus.asked if "ray_moa_ttft_seconds_bucket" in query]
        return bool(queries)

    wait_until(page, asked)
    assert all(r'model=~"tiny\\.mixtral\\+1"' in query for query in queries)


def test_alerts_are_listed_as_text(page: Page, url: str, prometheus: Prometheus) -> None:
    prometheus.alerts = [ALERT]
    page.goto(url)
    expect(page.locator("#alerts li")).to_have_text(
        "MoaQueue (firing): Agents <b>wait</b>. See docs/operations.md#queues."
    )


def test_without_values_the_panels_say_so(page: Page, url: str, prometheus: Prometheus) -> None:
    prometheus.series = False
    page.goto(url)
    expect(page.locator(".nothing").first).to_have_text("No values in this time.")
    expect(page.locator(".number").first).to_have_text("–")
    assert page.locator("svg.main-svg").count() == 0


def test_an_error_of_prometheus_is_shown_and_goes_when_it_answers(page: Page, url: str, prometheus: Prometheus) -> None:
    prometheus.broken = True
    page.goto(url)
    expect(page.locator("#problem")).to_have_text("Not all could be drawn: query timed out")
    prometheus.broken = False
    page.get_by_label("Time").select_option("3600")
    expect(page.locator("#problem")).to_be_hidden()
    drawn(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(browser: Browser, url: str, scheme: str) -> None:
    with new_page(browser) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        page.emulate_media(color_scheme=scheme)
        page.goto(url)
        drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        texts = page.evaluate("getComputedStyle(document.querySelector('section')).color")
        ground = page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
        dark, bright = (ground, texts) if scheme == "dark" else (texts, ground)
        assert _brightness(dark) < 90 < 200 < _brightness(bright)


def _brightness(color: str) -> float:
    parts = [int(part) for part in re.findall(r"\d+", color)[:3]]
    return sum(parts) / 3
