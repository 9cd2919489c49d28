"""Reports: what is written, and Locust's own run against a scripted server."""

import asyncio
import csv
import json
import sys
from pathlib import Path

import pytest

from loadtest.results.exchange import Exchange
from loadtest.results.html import Mark, Page, figure, number
from loadtest.results.html_report import html_report
from loadtest.results.report import Result, table, to_json, write
from loadtest.results.slo import parse_slo
from serving.engines.scripted import ScriptedEngine
from tests.support.api import app_of, running


def exchange(scenario: str = "streaming", **changes: object) -> Exchange:
    values: dict[str, object] = {
        "first_frame_s": 0.1,
        "first_token_s": 0.2,
        "first_answer_s": 0.2,
        "gaps_s": (0.01, 0.02),
        "answer_tokens": 3,
        "team_tokens": 9,
    }
    return Exchange(scenario, "m", True, 1.0, 0.5, **{**values, **changes})  # type: ignore[arg-type]


def result(slo: str = "answer_ms<=300") -> Result:
    exchanges = [exchange(), exchange("chat", planned_s=0.9), exchange(error="429 overloaded", degraded=False)]
    return Result.of({"host": "http://h"}, exchanges, 10.0, parse_slo(slo))


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
    paths = write(found, tmp_path / "new", html_report(found))
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


def test_the_page_stands_alone_and_shows_both_scenarios() -> None:
    page = html_report(result())
    assert page.count("plotly.js v") == 1
    assert "<script src" not in page
    assert "streaming" in page
    assert "Schedule lag" in page
    assert set(to_json(result())["scenarios"]) == {"chat", "streaming"}


def test_text_in_a_page_is_escaped() -> None:
    page = Page("<b>", "a & b")
    page.table(("x",), [("<script>",), (Mark("<met>", good=True),)])
    page.plots([figure("t", "x", "y")])
    html = page.html()
    assert "<td class='text'>&lt;script&gt;</td>" in html
    assert "<td class='good'>&lt;met&gt;</td>" in html
    assert "<h1>&lt;b&gt;</h1>" in html


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (12345.6, "12,346"), (123.456, "123.5"), (1.23456, "1.23"), (0.0, "0")]
)
def test_numbers_have_the_digits_that_matter(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("arguments", "slo", "code"),
    [(["--users", "3", "--think-s", "0"], "e2e_ms<=60000", 0), (["--rate", "20"], "e2e_ms<=0.001", 1)],
    ids=["closed loop, met", "open loop, failed"],
)
async def test_a_headless_run_ends_by_itself_and_says_how_it_went(
    tmp_path: Path, arguments: list[str], slo: str, code: int
) -> None:
    engine = ScriptedEngine("m", "a word or two", itl_s=0.001)
    command = [sys.executable, "-m", "loadtest", "run", "--duration", "1", "--out", str(tmp_path), "--slo", slo]
    async with running(app_of({"m": engine})) as host:
        process = await asyncio.create_subprocess_exec(
            *command, "--host", host, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
    assert process.returncode == code, output.decode()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["passed"] is (code == 0)
    assert summary["summary"]["errors"] == {}
    assert summary["summary"]["completed"] == len(engine.requests) - 2  # two probed the tokenizer
    assert set(summary["scenarios"]) <= {"streaming", "chat", "multi-turn"}
    assert ("lag_ms" in summary["summary"]["distributions"]) is ("--rate" in arguments)
