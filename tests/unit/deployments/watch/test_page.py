"""The page with the dashboards: its files, and the queries that it passes on to Prometheus."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from deployments.watch.dashboards import NAMES, dashboards
from deployments.watch.page import FILES, serving_page
from serving.errors import ConfigError
from serving.ports import free_port
from tests.support.metrics_page import serving

ANSWER = '{"status": "success", "data": {"result": []}}'


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    port = free_port()
    with serving(text=ANSWER) as prometheus, serving_page(port, prometheus):
        yield f"http://127.0.0.1:{port}"


def test_the_page_has_all_its_files(page: str) -> None:
    first = httpx.get(page)
    assert first.headers["content-type"].startswith("text/html")
    named = set(re.findall(r'(?:src|href)="([a-z.]+)"', first.text))
    scripts = "".join(file.read_text() for file in FILES.glob("*.js"))
    named |= set(re.findall(r'from "\./([a-z.]+)"', scripts))
    assert named == {"page.css", "page.js", "plotly.js", "queries.js", "units.js"}
    for name in named:
        answer = httpx.get(f"{page}/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/css" if name == "page.css" else "text/javascript")


def test_the_dashboards_are_the_charts(page: str) -> None:
    assert httpx.get(f"{page}/dashboards.json").json() == dashboards()
    assert list(dashboards()) == list(NAMES)


def test_the_page_can_draw_every_panel() -> None:
    for board in dashboards().values():
        for panel in board["panels"]:
            assert panel["type"] in {"row", "stat", "timeseries"}, panel["title"]
            assert panel["type"] != "stat" or len(panel["targets"]) == 1, panel["title"]
        queries = [one["query"]["query"] for one in board["templating"]["list"] if one["type"] == "query"]
        assert all(re.fullmatch(r"label_values\(.+, \w+\)", query) for query in queries)


@pytest.mark.parametrize(
    "path", ["/api/v1/query?query=up", "/api/v1/query_range?query=up", "/api/v1/alerts", "/api/v1/label/model/values"]
)
def test_queries_are_passed_on(page: str, path: str) -> None:
    answer = httpx.get(f"{page}{path}")
    assert (answer.status_code, answer.json()) == (200, json.loads(ANSWER))


@pytest.mark.parametrize("path", ["/api/v1/admin/tsdb/snapshot", "/-/quit", "/../rules.yaml", "/rules.yaml", "/page/"])
def test_nothing_else_is_answered(page: str, path: str) -> None:
    assert httpx.get(f"{page}{path}").status_code == 404
    assert httpx.post(f"{page}{path}").status_code == 501


def test_a_prometheus_that_is_gone_is_an_error_in_its_own_form() -> None:
    port = free_port()
    with serving_page(port, "http://127.0.0.1:9"):
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/alerts")
    assert (answer.status_code, answer.json()["error"]) == (502, "Prometheus does not answer.")


def test_a_port_in_use_is_refused_with_its_option(page: str) -> None:
    with (
        pytest.raises(ConfigError, match="add --page-port NUMBER"),
        serving_page(int(page.rsplit(":", 1)[1]), "http://a"),
    ):
        pass
