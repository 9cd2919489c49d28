from dataclasses import replace

import plotly.graph_objects as go
import pytest

from evaluation.report.page import MAX_BYTES
from loadtest.results.html_report import BARS, POINTS, figures, render
from loadtest.results.report import Result
from loadtest.results.slo import parse_slo
from tests.support.exchanges import exchange, result


def of(*exchanges: object) -> Result:
    return Result.of({}, exchanges, 10.0, parse_slo(""))


def plot(found: Result, title: str) -> go.Figure:
    return next(plot for plot in figures(found) if plot.layout.meta["title"].startswith(title))


def test_the_page_stands_alone_and_shows_both_scenarios() -> None:
    page = render(result())
    assert page.count('id="data-plotly"') == 1
    assert "<script src" not in page
    assert "Schedule lag" in page
    assert '<td class="bad">failed</td>' in page
    assert "429 overloaded" in page
    assert [trace.name for trace in plot(result(), "End to end").data] == ["chat", "streaming"]


def test_the_verdict_stands_first() -> None:
    first = render(result()).partition('<section id="slo">')[0]
    assert "<b>FAILED</b><span>verdict</span>" in first
    assert "<b>33.3%</b><span>failed</span>" in first
    assert "<b>0.5 s</b><span>p95, end to end</span>" in first
    assert "<b>passed</b>" in render(of(exchange()))
    assert "<b>FAILED</b>" in render(of(exchange(error="429 overloaded")))


def test_a_distribution_is_of_steps_at_the_measured_values() -> None:
    found = of(*(replace(exchange(), total_s=seconds) for seconds in (0.4, 0.1, 0.2, 0.2)))
    (line,) = plot(found, "End to end").data
    assert line.line.shape == "hv"
    assert list(zip(line.x, line.y, strict=True)) == [(100, 0), (100, 0.25), (200, 0.5), (200, 0.75), (400, 1)]


def test_many_values_have_steps_at_evenly_spaced_shares() -> None:
    found = of(*(replace(exchange(), total_s=(number + 1) / 1000) for number in range(10 * POINTS)))
    (line,) = plot(found, "End to end").data
    assert list(zip(line.x, line.y, strict=True))[:3] == [
        (1, 0),
        (10, pytest.approx(1 / POINTS, rel=0.02)),
        (20, pytest.approx(2 / POINTS, rel=0.02)),
    ]
    assert (line.x[-1], line.y[-1]) == (10 * POINTS, 1)
    assert len(line.x) == POINTS + 1


def test_plots_without_data_are_left_out() -> None:
    whole = exchange(first_token_s=None, first_answer_s=None, gaps_s=(), answer_tokens=None)
    titles = [plot.layout.meta["title"] for plot in figures(of(whole))]
    assert titles == ["Each request's end-to-end time", "End to end", "Requests that ended", "Open requests"]
    assert '<section id="plots">' not in render(of())


def test_a_long_run_has_a_small_page_that_says_what_it_left_out() -> None:
    found = of(*(replace(exchange(f"s{number % 9}"), sent_s=number / 10) for number in range(60_000)))
    html = render(found)
    assert len(html.encode()) < MAX_BYTES
    assert "of each kind at most 300 requests, evenly spread" in html
    ended = plot(found, "Requests that ended").data
    assert len(ended[0].x) <= BARS
    assert ended[0].y[1] == 10  # a second


def test_the_most_open_requests_of_a_long_run_stay() -> None:
    peak = [replace(exchange(), sent_s=3000.0, total_s=9.0) for _ in range(7)]
    found = of(*(replace(exchange(), sent_s=float(number)) for number in range(2 * POINTS)), *peak)
    assert max(plot(found, "Open requests").data[0].y) == 8
