"""Rows, results and the page of the torture report."""

import json
from pathlib import Path

import pytest

from loadtest.torture import html_report
from loadtest.torture.__main__ import main, record
from loadtest.torture.effort import Effort
from loadtest.torture.parts import PARTS
from loadtest.torture.results import PartResult, load, parsed, summary, text
from loadtest.torture.row import Row, quantile, quantiles

KEPT = Row("it holds", "3 of 3", "all", True)
BROKEN = Row("it does <not>", "2 of 3", "all", False, "one was late")
LEFT = Row("nobody looked", "not run", "all", None)
RESULT = PartResult("hangups", "Callers that hang up", (KEPT, BROKEN, LEFT), "a machine; load before the run 1", 3.0)


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.99, 1.0, 0.0)] == [50.0, 99.0, 100.0, 1.0]
    assert quantile([7.0], 0.99) == 7.0
    assert quantiles([0.001, 0.002, 2.5]) == "p50 2.0, p99 2,500, max 2,500 ms"


def test_a_row_says_its_verdict_and_its_figure_with_the_note() -> None:
    assert [row.verdict for row in RESULT.rows] == ["green", "RED", "not measured"]
    assert [row.measured for row in RESULT.rows] == ["3 of 3.", "2 of 3. one was late.", "not run."]


def test_results_survive_their_file(tmp_path: Path) -> None:
    RESULT.save(tmp_path / "new")
    assert load(tmp_path / "new", PARTS) == [RESULT]
    record([RESULT], tmp_path / "all.json")
    assert [parsed(raw) for raw in json.loads((tmp_path / "all.json").read_text())] == [RESULT]


def test_the_text_has_each_row_and_the_command() -> None:
    table = text([RESULT])
    assert 'hangups (3 s): make torture ARGS="hangups"' in table
    assert "RED          it does <not>" in table
    assert table.endswith("1 of 3 promises green, 1 red, 1 not measured.")
    assert summary([]) == "0 of 0 promises green, 0 red."


def test_the_page_has_each_row_and_asks_no_other_server() -> None:
    page = html_report.render([RESULT])
    for shown in ("it holds", "it does &lt;not&gt;", "one was late", "make torture ARGS=&#34;hangups&#34;", "RED"):
        assert shown in page
    head = page.split("<script>")[0] + page.split("</script>")[-1]
    assert "http://" not in head
    assert "https://" not in head


def test_an_unknown_part_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such"]) == 2
    assert "there is no part 'no-such'; choose from hangups, upstreams" in capsys.readouterr().err


def test_show_makes_the_report_and_the_exit_code_of_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "torture"
    RESULT.save(out)
    assert main(["--show", "--out", str(out)]) == 1
    assert "it holds" in out.with_suffix(".html").read_text()
    PartResult("hangups", "t", (KEPT, LEFT), "m", 1.0).save(out)
    assert main(["--show", "--out", str(out), "--record", str(tmp_path / "all.json")]) == 0
    assert len(json.loads((tmp_path / "all.json").read_text())) == 1


def test_a_part_is_measured_alone_and_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loadtest.torture import __main__ as command
    from loadtest.torture.parts import Part

    efforts: list[Effort] = []

    async def measure(effort: Effort) -> list[Row]:
        efforts.append(effort)
        return [KEPT]

    monkeypatch.setattr(command, "PARTS", {"hangups": PARTS["hangups"], "delays": Part("Delays", measure)})
    out = tmp_path / "torture"
    RESULT.save(out)
    assert main(["delays", "--short", "--out", str(out)]) == 0  # the red row is of another part
    assert {file.name for file in out.iterdir()} == {"hangups.json", "delays.json"}
    assert efforts[0].short
    assert main(["--resume", "--out", str(out)]) == 0  # nothing is left to measure
    assert len(efforts) == 1


def test_a_part_that_cannot_run_ends_with_2_and_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from loadtest.errors import LoadError
    from loadtest.torture import __main__ as command
    from loadtest.torture.parts import Part

    async def measure(effort: Effort) -> list[Row]:
        raise LoadError("A server did not become ready.")

    monkeypatch.setattr(command, "PARTS", {"delays": Part("Delays", measure)})
    assert main(["delays", "--out", str(tmp_path / "torture")]) == 2
    assert "error: delays: A server did not become ready." in capsys.readouterr().err
    assert not (tmp_path / "torture").exists()


def test_effort_chooses_counts() -> None:
    assert Effort().count(100, 5) == 100
    assert Effort(short=True).count(100, 5) == 5
