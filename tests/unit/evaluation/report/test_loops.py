"""The table of tool loops, and the columns of thinking, as the commands write them."""

from pathlib import Path

import pytest

from evaluation.__main__ import main
from evaluation.report.loops import COLUMNS, loops_section, loops_table
from evaluation.report.skills import skills_table
from evaluation.rows import CallRow, Row, StepRow
from evaluation.store import MANIFEST, Appender
from tests.support.rows import row

CALLED = StepRow(calls=(CallRow(name="t", arguments="{}"),), proposers=3, prompt_tokens=100, cached_tokens=0)
ENDED = StepRow(proposers=0, prompt_tokens=120, cached_tokens=96)


def rows() -> list[Row]:
    looped = [
        row("moa-lite", str(item), "yes", steps=(CALLED, ENDED), expected_first=True, reasoning_tokens=10 * item)
        for item in (1, 2)
    ]
    return [*looped, row("tiny", "1", "no", steps=(StepRow(),), expected_first=False, reasoning_tokens=0)]


def test_each_arm_has_a_line() -> None:
    (table,) = loops_table(rows(), ["moa-lite", "tiny"])
    assert table.columns == COLUMNS
    assert [[cell.text for cell in line] for line in table.rows] == [
        ["moa-lite", *["100.0 [34.2, 100.0]"] * 3, "2.00", "1.00", "12", "1.00", "80.0", "0"],
        ["tiny", "0.0 [0.0, 79.3]", "0.0 [0.0, 79.3]", "–", "1.00", "0.00", "12", "–", "–", "0"],
    ]


def test_without_tools_there_is_no_section() -> None:
    plain = [row("a", "1", "yes")]
    assert loops_table(plain, ["a"]) == ()
    assert loops_section(plain) == ()


def test_reasoning_tokens_have_a_column_only_where_an_arm_has_some() -> None:
    table = skills_table(rows(), ["moa-lite", "tiny"])
    assert table.columns[-1] == "reasoning tokens"
    assert [line[-1].text for line in table.rows] == ["15.0", "0.0"]
    assert skills_table(rows()[2:], ["tiny"]).columns[-1] == "tokens"


def test_the_commands_write_loops_and_reasoning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Appender(tmp_path / "rows.jsonl") as appender:
        for entry in rows():
            appender.append(entry)
    (tmp_path / MANIFEST).write_text('{"arm": {"moa-lite": {}, "tiny": {}}}')
    assert main(["table", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "**Loops of tool calls**" in printed
    assert "| moa-lite | 100.0" in printed
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "q.html"), "--markdown", str(tmp_path / "q.md")]) == 0
    assert "Tool loops" in (tmp_path / "q.html").read_text()
    written = (tmp_path / "q.md").read_text()
    assert "**Loops of tool calls**" in written
    assert "| reasoning tokens |" in written
