"""The page, its tables, and the recommendation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import papers
from evaluation.__main__ import main
from evaluation.analysis.recommend import Offer, offers, pareto_front, recommend
from evaluation.analysis.stats import wilson
from evaluation.arms import Arm, from_names
from evaluation.client import Client
from evaluation.datasets.loading import load
from evaluation.errors import EvaluationError
from evaluation.judging import judge
from evaluation.judging.judge import JudgeSettings
from evaluation.report.build import BEGIN, END, Constraints, Report, analyse, build, write_markdown
from evaluation.report.labels import place
from evaluation.runner import RunSettings, run
from evaluation.store import read_answers
from evaluation.tables import Cell, Table
from tests.support.paths import ROOT
from tests.support.rows import TeamServer, bench, row

QUALITY = ROOT / "docs" / "quality.md"
OFFERS = [
    Offer(name, cost, wilson(value, 100))
    for name, cost, value in [("small", 10, 0.6), ("slow", 90, 0.7), ("lite", 100, 0.84), ("full", 300, 0.86)]
]


def test_the_front_keeps_what_nothing_beats() -> None:
    waste = Offer("waste", 200, wilson(0.8, 100))
    assert [offer.arm for offer in pareto_front([*OFFERS, waste])] == ["small", "slow", "lite", "full"]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_front_is_exactly_what_is_not_dominated(values: list[tuple[int, int]]) -> None:
    every = [Offer(str(i), cost, wilson(value / 10, 10)) for i, (cost, value) in enumerate(values)]
    kept = {(offer.cost, offer.quality.value) for offer in pareto_front(every)}
    best = {
        (offer.cost, offer.quality.value)
        for offer in every
        if not any(
            other.cost <= offer.cost
            and other.quality.value >= offer.quality.value
            and (other.cost, other.quality.value) != (offer.cost, offer.quality.value)
            for other in every
        )
    }
    assert kept == best


@pytest.mark.parametrize(
    ("constraints", "chosen"),
    [
        ({}, "full"),
        ({"budget": 95}, "slow"),
        ({"min_accuracy": 0.85}, "full"),
        ({"min_accuracy": 0.65, "budget": 95}, "slow"),
        ({"min_accuracy": 0.99}, None),
        ({"budget": 5}, None),
    ],
)
def test_the_recommendation_keeps_to_the_wishes(constraints: dict[str, float], chosen: str | None) -> None:
    advice = recommend(OFFERS, "tokens", **constraints)
    assert (advice.chosen.arm if advice.chosen else None) == chosen
    assert advice.sentence.startswith("Use " + chosen if chosen else "No arm")


def test_a_cheap_or_accurate_alternative_is_named() -> None:
    assert "The most accurate is full (86.0%" in recommend(OFFERS, "tokens", min_accuracy=0.8).sentence
    assert "Within its 95% interval and cheaper: lite (84.0%" in recommend(OFFERS, "tokens").sentence
    assert "cheaper" not in recommend(OFFERS[:3], "tokens").sentence
    assert "the cheapest is small (60.0%" in recommend(OFFERS, "tokens", budget=5).sentence
    assert "No arm has both" in recommend([], "usd").sentence


def test_arms_without_a_known_cost_are_not_offered() -> None:
    rows = [row("a", "1", "yes", prompt_tokens=None), row("b", "1", "yes")]
    assert [offer.arm for offer in offers(rows, "tokens")] == ["b"]
    assert offers(rows, "usd") == []


def test_names_of_points_cover_neither_each_other_nor_a_point() -> None:
    points = [(0.5, 0.5), (0.5, 0.52), (0.5, 0.54), (0.52, 0.5), (0.99, 0.5)]
    names = ["first", "second-one", "third", "fourth", "at-the-edge"]
    size = (600.0, 300.0)
    boxes = []
    for (x, y), name, label in zip(points, names, place(points, names, size), strict=True):
        half = 7.2 * len(name) / 2
        centre = (x * size[0] + label.right, y * size[1] + label.up)
        boxes.append((centre[0] - half, centre[1] - 7.5, centre[0] + half, centre[1] + 7.5))
    for i, left in enumerate(boxes):
        assert left[0] >= 0
        assert left[2] <= size[0]
        for right in boxes[i + 1 :]:
            assert left[2] <= right[0] or right[2] <= left[0] or left[3] <= right[1] or right[3] <= left[1]


@pytest.fixture(scope="module")
async def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run with every arm that the analyses want, judged and graded."""
    tmp_path = tmp_path_factory.mktemp("finished")
    path = tmp_path / "bench.jsonl"
    path.write_text(bench(4))
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
    assert [section.id for section in report.sections if not section.tables and not section.figures] == []
    assert {section.id for section in report.sections if not section.figures} == {"roles", "mixing", "judge"}
    assert report.advice.chosen is not None
    assert report.advice.chosen.arm in ("team", "six")


def test_the_page_stands_alone(report: Report) -> None:
    html = report.html()
    assert html.count("plotly.js v") == 1
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


def test_a_run_of_single_models_says_what_else_to_run() -> None:
    leads = [section.lead for section in analyse([row("a", "1", "yes")], Constraints()).sections]
    assert any("Run two-layer arms" in lead for lead in leads)
    assert any("python -m evaluation judge" in lead for lead in leads)


def test_tables_set_numbers_right_and_keep_pipes() -> None:
    table = Table("T", ("name", "value", "what"), ((Cell("a|b"), Cell("1.0", strong=True), Cell("x")),))
    assert table.markdown().splitlines()[2:] == [
        "| name | value | what |",
        "| --- | ---: | --- |",
        "| a\\|b | **1.0** | x |",
    ]


def test_the_command_writes_page_and_tables(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = finished / "doc.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    out = finished / "out" / "q.html"
    arguments = ["report", str(finished), "--out", str(out), "--markdown", str(document), "--min-accuracy", "50%"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("Use ")
    assert out.read_text().startswith("<!doctype html>")
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| team |" in text


def test_a_document_without_a_place_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "doc.md").write_text("mine")
    with pytest.raises(EvaluationError, match="has no place for tables"):
        write_markdown(tmp_path / "doc.md", "tables")
    assert (tmp_path / "doc.md").read_text() == "mine"


def test_the_commands_from_questions_to_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = TeamServer()
    monkeypatch.setattr("evaluation.__main__._client", lambda options: Client("http://x", transport=server.transport))
    (tmp_path / "bench.jsonl").write_text(bench(3))
    out = str(tmp_path / "run")
    asking = ["run", "--recipes", "team,add", "--dataset", str(tmp_path / "bench.jsonl"), "--out", out]
    assert main([*asking, "--temperature", "0", "--limit", "6"]) == 0
    assert "12 answers made, 0 kept, 0 failed" in capsys.readouterr().out
    assert main([*asking, "--temperature", "0"]) == 0
    assert "6 answers made, 12 kept, 0 failed" in capsys.readouterr().out
    assert main([*asking, "--temperature", "1"]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert main(["judge", out, "--judge", "judge", "--baseline", "add"]) == 0
    assert main(["judge", out, "--judge", "judge", "--grade"]) == 0
    assert main(["report", out, "--out", str(tmp_path / "q.html"), "--budget-latency", "60"]) == 0
    page = (tmp_path / "q.html").read_text()
    assert "Win rate against add, judged by judge" in page
    assert "Ratings from 1 to 10" in page


def test_asking_waits_for_no_library_of_the_analyses() -> None:
    heavy = "{'scipy', 'sklearn', 'plotly', 'sacrebleu'} & set(sys.modules)"
    script = f"import sys, evaluation.__main__; sys.exit(str({heavy}) if {heavy} else 0)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_errors_are_one_sentence_and_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: There are no answers in")
    assert main(["run", "--dataset", f"{tmp_path}/none", "--out", str(tmp_path), "--recipes", "a"]) == 2
    assert "Cannot read the dataset" in capsys.readouterr().err


def test_the_papers_tables_in_the_documentation_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["papers"]) == 0
    assert capsys.readouterr().out == papers.markdown()
    assert papers.markdown() in QUALITY.read_text()
