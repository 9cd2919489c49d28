"""The report: its sections, page and Markdown tables."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from evaluation.__main__ import main
from evaluation.arms import Arm, from_names
from evaluation.client import Client
from evaluation.datasets.loading import load
from evaluation.errors import EvaluationError
from evaluation.judging import judge
from evaluation.judging.judge import JudgeSettings
from evaluation.report.build import BEGIN, END, Constraints, Report, analyse, build, write_markdown
from evaluation.report.figure import distinct
from evaluation.report.page import MAX_BYTES
from evaluation.runner import RunSettings, run
from evaluation.store import Appender, read_answers
from tests.support.rows import TeamServer, question_lines, row


@pytest.fixture(scope="module")
async def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the arms that every analysis needs, judged and graded."""
    tmp_path = tmp_path_factory.mktemp("finished")
    path = tmp_path / "questions.jsonl"
    path.write_text(question_lines(20))
    teams = {"two": ["add", "spell"], "one": ["add"], "six": ["add", "spell", "know"] * 2, "self-spell": ["spell"] * 3}
    arms = from_names("add,spell,know,self,team") + [
        Arm(name=n, model="team", moa={"models": t}) for n, t in teams.items()
    ]
    async with Client("http://x", transport=TeamServer().transport) as client:
        await run(client, arms, [load(str(path))], RunSettings(), tmp_path)
        rows = read_answers(tmp_path)
        pairs = [found for found in rows if found.arm in ("team", "add")]
        await judge.compare(client, pairs, "add", JudgeSettings("judge"), tmp_path)
        await judge.grade(client, rows[:9], JudgeSettings("judge"), tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def report(finished: Path) -> Report:
    return build(finished, Constraints())


def test_every_section_has_something_to_show(report: Report) -> None:
    assert report.left_out == ()
    assert [section.id for section in report.sections if not section.tables and not section.figures] == []
    assert {section.id for section in report.sections if not section.figures} == {"roles", "mixing", "judge"}
    assert report.advice.chosen is not None
    assert report.advice.chosen.arm in ("team", "six")


def test_the_page_stands_alone(report: Report) -> None:
    html = report.html()
    assert html.count('id="data-plotly"') == 1
    assert len(html.encode()) < MAX_BYTES
    markup = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["'](?!#)""", markup)
    for arm in ("team", "self-spell"):
        assert f"<td>{arm}</td>" in markup


def test_names_are_escaped() -> None:
    rows = [row("<b>arm</b>", "1", "yes"), row("<b>arm</b>", "2", "no")]
    markup = re.sub(r"<script.*?</script>", "", analyse(rows, Constraints()).html(), flags=re.DOTALL)
    assert "<b>arm" not in markup
    assert "&lt;b&gt;arm" in markup


def test_a_run_of_failures_still_makes_a_page() -> None:
    rows = [row("arm", "1", "", score=None, error="503: down", latency_s=None, prompt_tokens=None)]
    assert "No arm has both" in analyse(rows, Constraints()).html()


def test_a_run_of_single_models_has_no_empty_sections_and_says_what_else_to_run() -> None:
    found = analyse([row("a", "1", "yes")], Constraints())
    assert [section.id for section in found.sections] == ["pareto", "arms"]
    leads = [section.lead for section in found.left_out]
    assert any("run two-layer arms" in lead for lead in leads)
    assert any("python -m evaluation judge" in lead for lead in leads)
    html = found.html()
    assert '<section id="layers">' not in html
    assert "Number of proposers: No data: run two-layer arms" in html


def test_prices_are_per_1000_answers_and_operations_have_axes() -> None:
    rows = [row("a", "1", "yes", cost_usd=0.0015, tflops=3.0, tflops_in_sequence=2.0)]
    pareto, arms = analyse(rows, Constraints()).sections
    columns = dict(zip(arms.tables[0].columns, (cell.text for cell in arms.tables[0].rows[0]), strict=True))
    assert columns["US$ per 1,000 answers"] == "1.5"
    assert columns["TFLOPs"] == "3"
    costs = {plot.layout.xaxis.title.text: plot.layout.meta["labels"][0]["x"] for plot in pareto.figures}
    assert costs == {
        "tokens per answer, all agents": 12,
        "US$ per 1,000 answers": 1.5,
        "TFLOPs per answer, all agents": 3.0,
        "TFLOPs in sequence": 2.0,
        "seconds to the complete answer": 1.0,
    }


def test_unknown_operations_have_no_column_and_no_axis() -> None:
    pareto, arms = analyse([row("a", "1", "yes")], Constraints()).sections
    assert "TFLOPs" not in arms.tables[0].columns
    assert len(pareto.figures) == 2


def test_entries_of_a_legend_differ(report: Report) -> None:
    rows = [row(f"arm{arm}", f"{task}", "yes", skill=f"s{task}") for arm in range(2) for task in range(20)]
    for section in (*report.sections, *analyse(rows, Constraints()).sections):
        for plot in map(distinct, section.figures):
            if plot.layout.showlegend is not False:
                looks = [_look(trace) for trace in plot.data]
                assert len(looks) == len(set(looks))


def _look(trace: Any) -> str:
    """Look of a trace's entry in the legend, without its name."""
    mark, line = trace.marker, trace.line.dash if trace.type == "scatter" and "lines" in trace.mode else None
    return str((trace.type, mark.color, mark.symbol if trace.type == "scatter" else mark.pattern.shape, line))


def test_the_command_writes_page_and_tables(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = finished / "doc.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    out = finished / "out" / "q.html"
    arguments = ["report", str(finished), "--out", str(out), "--markdown", str(document), "--min-accuracy", "85%"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("Use ")
    assert out.read_text().startswith("<!doctype html>")
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| team |" in text


def test_a_larger_page_has_longer_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Appender(tmp_path / "rows.jsonl") as appender:
        for item in range(40):
            appender.append(row("a", str(item), random.Random(item).randbytes(15_000).hex()))
    page = tmp_path / "q.html"
    sizes, notes = [], []
    for most in (1, 2):
        assert main(["report", str(tmp_path), "--out", str(page), "--max-mb", str(most)]) == 0
        sizes.append(page.stat().st_size)
        notes.append("shortened in the middle" in page.read_text())
    assert sizes[0] < MAX_BYTES < sizes[1] < 2 * MAX_BYTES
    assert notes == [True, False]
    for wrong in ("0", "-1", "many"):
        with pytest.raises(SystemExit):
            main(["report", str(tmp_path), "--max-mb", wrong])
        assert "must be a whole number from 1 to 500" in capsys.readouterr().err


def test_a_document_without_markers_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "doc.md").write_text("mine")
    with pytest.raises(EvaluationError, match="exists and has no markers"):
        write_markdown(tmp_path / "doc.md", "tables")
    assert (tmp_path / "doc.md").read_text() == "mine"


@pytest.mark.parametrize(
    "title",
    [
        "Accuracy and cost of an answer",
        "Accuracy by task, % [95%]",
        "Accuracy by number of proposers, % [95%]",
        "Ratings from 1 to 10",
        "Win rate against add, judged by judge, % [95%]",
    ],
)
def test_every_table_of_arms_has_tokens_per_answer(title: str, report: Report) -> None:
    (table,) = [table for section in report.sections for table in section.tables if table.title == title]
    column = table.columns.index("tokens")
    assert all(line[column].text.replace(",", "").isdecimal() for line in table.rows)


def test_the_best_arms_of_each_kind_have_their_tokens(report: Report) -> None:
    tables = {table.title: table for section in report.sections for table in section.tables}
    cells = [cell.text for line in tables["The best arm of each kind, accuracy % [95%]"].rows for cell in line[1:4]]
    assert all(re.search(r" \w[\w-]*, \d+ tokens$", cell) for cell in cells)
