"""Locust's page, the terminal, the files and the HTML report judge a run alike."""

import re

import pytest

from loadtest.results.html_report import render
from loadtest.results.report import Result, table, to_json
from loadtest.results.rows import rows
from loadtest.results.slo import parse_slo
from tests.support.exchanges import exchange, result


def row(measure: str, found: Result) -> dict[str, object]:
    return next(row for row in rows(found) if row["measure"] == measure and row["scenario"] == "all")


@pytest.mark.parametrize(
    ("slo", "verdict", "code"),
    [
        ("answer_ms<=300", "FAILED: goodput_share>=0.95", 1),  # one of three requests ended in an error
        ("answer_ms<=300,goodput_share>=0.6", "passed", 0),
        ("error_share<=0.3", "FAILED: error_share<=0.3", 1),
        ("", "passed: there is no SLO, and at least one answer is complete", 0),
    ],
)
def test_all_pages_have_one_verdict(slo: str, verdict: str, code: int) -> None:
    found = result(slo)
    assert found.exit_code == code
    assert table(found).endswith(f"Verdict: {verdict}")
    assert row("verdict", found)["value"] == verdict
    assert (to_json(found)["verdict"], to_json(found)["passed"]) == (verdict, code == 0)
    for limit in found.verdicts:
        assert row(str(limit.limit), found)["value"] == ("met" if limit.met else "FAILED")
        assert re.search(r"<td[^>]*>(met|failed)</td>", render(found)), "the HTML report shows the same verdicts"


def test_a_run_of_errors_fails_everywhere() -> None:
    found = Result.of({}, [exchange(error="timeout")], 1.0, parse_slo(""))
    assert found.exit_code == 1
    assert row("verdict", found)["value"] == found.verdict == "FAILED: no answer is complete"


def test_measures_are_those_of_the_report_by_scenario() -> None:
    found = result()
    assert row("goodput_share", found)["value"] == round(found.summary.goodput_share, 3) == 0.667
    assert row("requests_per_s", found)["value"] == 0.2  # two answers in the run's ten seconds
    assert {row["scenario"] for row in rows(found)} == {"all", "chat", "streaming"}


def test_without_requests_there_are_no_rows() -> None:
    assert rows(Result.of({}, [], 1.0, parse_slo("ttft_ms<=5"))) == []
