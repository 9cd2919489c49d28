"""Reports: the verdict, the table and the files."""

import csv
import json
from pathlib import Path

import pytest

from loadtest.results.report import Result, table, to_json, write
from loadtest.results.slo import parse_slo
from tests.support.exchanges import exchange, result


def test_a_run_fails_by_its_slo() -> None:
    assert not result().passed  # one of three requests ended in an error: goodput 67%
    assert result("error_share<=0.5").passed


def test_a_run_of_errors_alone_never_passes() -> None:
    assert not Result.of({}, [exchange(error="timeout")], 1.0, parse_slo("")).passed


def test_the_table_has_measures_formulas_errors_and_verdicts() -> None:
    text = table(result())
    for piece in ("answer_ms", "= time to first answer token", "429 overloaded", "FAILED  goodput_share>=0.95"):
        assert piece in text


def test_files_say_the_same(tmp_path: Path) -> None:
    found = result()
    paths = write(found, tmp_path / "new", "<html>")
    assert {path.name for path in paths} == {"report.html", "exchanges.csv", "summary.json"}
    summary = json.loads((tmp_path / "new" / "summary.json").read_text())
    assert (summary["passed"], summary["summary"]["requests"]) == (False, 3)
    assert summary["verdicts"][0]["limit"] == "goodput_share>=0.95"
    with (tmp_path / "new" / "exchanges.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["error"] for row in rows] == ["", "", "429 overloaded"]
    assert float(rows[0]["answer_ms"]) == pytest.approx(200)
    assert rows[0]["lag_ms"] == ""
    assert float(rows[1]["lag_ms"]) == pytest.approx(100)


def test_json_has_distributions_by_scenario() -> None:
    assert set(to_json(result())["scenarios"]) == {"chat", "streaming"}
