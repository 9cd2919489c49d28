"""Usage reports as Markdown, CSV and JSON, and their way to a webhook."""

import csv
import io
import json
from typing import Any

import httpx
import pytest

from serving.errors import ConfigError
from serving.report.formats import as_csv, as_json, markdown
from serving.report.webhook import ATTEMPTS, NotDelivered, check_address, deliver
from serving.store.usage_report import Period, ScoreRow, UsageReport, UsageRow

ROWS = (UsageRow("qwen", 2, 6, 1200, 300, 100, 0.25), UsageRow("=cmd|' /C calc'!A0", 1, 1, 10, 5, 0, 0.0, 1, 1))
REPORT = UsageReport(
    Period("day", "2026-11-29", "2026-11-30"),
    None,
    UsageRow("total", 3, 7, 1210, 305, 100, 0.25, 1, 1),
    {"model": ROWS, "role": ()},
    cancelled=1,
    failed=0,
    degraded=1,
    month_usd=75.0,
    budget_usd=100.0,
    quality=(ScoreRow("2026-11-29", "moa", 3, 4, 0.8125),),
)
URL = "https://hooks.example.org/secret-part"


def test_markdown_says_the_sums_and_the_budget_and_what_is_missing() -> None:
    text = markdown(REPORT)
    assert text.startswith("# Usage: day 2026-11-29 (UTC)\n")
    assert "3 requests, of which 0 failed, 1 were cancelled and 1 got a degraded answer." in text
    assert "US$ 75.00 in 2026-11" in text.replace("75.0000", "75.00")
    assert "75.0% of the budget of US$ 100.00" in text
    assert "1 call without token counts" in text
    assert "1 call of models without a price" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in rows[:4]}) == 1  # aligned
    assert "\\|" in rows[3]  # a name does not end its cell
    assert rows[3].rstrip(" |").endswith("≥ 0.00")
    assert "## By role\n\nNone." in text
    assert "moa" in rows[-1]
    assert rows[-1].rstrip(" |").endswith("0.81")


def test_no_cell_of_the_table_is_a_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(REPORT))))
    assert [row["name"] for row in rows] == ["total", "qwen", "'=cmd|' /C calc'!A0", "moa"]
    assert [row["table"] for row in rows] == ["total", "model", "model", "quality"]
    assert (rows[1]["prompt_tokens"], rows[1]["usd"]) == ("1200", "0.25000000")
    assert (rows[3]["proposers"], rows[3]["answers"], rows[3]["score"]) == ("3", "4", "0.8125")


def test_json_has_the_same_numbers() -> None:
    body = json.loads(as_json(REPORT))
    assert body["total"]["completion_tokens"] == 305
    assert body["by"]["model"][0]["usd"] == 0.25
    assert (body["month"], body["month_usd"], body["budget_usd_per_month"]) == ("2026-11", 75.0, 100.0)


def hook(*answers: int | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A webhook that answers with these statuses in turn, or cannot be reached."""
    waiting, asked = list(answers), []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        answer = waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, headers={"location": "https://elsewhere.example.org"})

    return httpx.MockTransport(handle), asked


def test_a_webhook_that_is_busy_is_asked_again() -> None:
    transport, asked = hook(503, httpx.ConnectError("refused"), 429, 200)
    waits: list[float] = []
    deliver(URL, "# Report", "md", transport=transport, sleep=waits.append)
    assert waits == [2.0, 4.0, 8.0]
    assert json.loads(asked[-1].content) == {"text": "# Report"}


@pytest.mark.parametrize(
    ("answers", "attempts"), [([404], 1), ([302], 1), ([500] * ATTEMPTS, ATTEMPTS)], ids=["404", "redirect", "500"]
)
def test_a_report_that_nobody_took_is_an_error_without_the_address(answers: list[Any], attempts: int) -> None:
    transport, asked = hook(*answers)
    with pytest.raises(NotDelivered, match=f"status {answers[0]}") as error:
        deliver(URL, "a,b", "csv", transport=transport, sleep=lambda _: None)
    assert len(asked) == attempts
    assert asked[0].headers["content-type"] == "text/csv"
    assert "secret-part" not in str(error.value)


@pytest.mark.parametrize("given", ["", "hooks.example.org", "ftp://hooks.example.org", "https://"])
def test_an_address_that_is_none_is_refused_by_its_variable(given: str) -> None:
    with pytest.raises(ConfigError, match="MOA_REPORT_WEBHOOK"):
        check_address(given, "MOA_REPORT_WEBHOOK")
