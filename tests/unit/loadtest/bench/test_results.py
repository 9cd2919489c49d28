import json

from loadtest.bench.results import Results
from loadtest.bench.rounds import Spread
from loadtest.bench.rows import AIMS, ROWS
from tests.support.benchmark import results


def test_ratios_are_to_vllm_by_hand_and_aims_are_judged() -> None:
    found = results()
    assert found.ratio("pass-1", "moa", "ttft_ms") == Spread(0.8, 0.8, 0.8, 0.96875)
    met = {(judged.aim.row, judged.aim.measure): judged.met for judged in found.judged()}
    assert len(met) == len(AIMS)
    assert met["pass-1", "ttft_ms"]
    assert met["team-64-1", "e2e_ms"]
    assert not met["team-64-16", "requests_per_s"]  # 0.8x of its requests/s
    assert not met["team-512-1", "after_proposals_ms"]
    assert not met["team-64-1", "critical_path"]  # absolute: 80, not a ratio


def test_rows_that_were_not_measured_are_not_judged() -> None:
    empty = Results(ROWS, "moa-on_complete", {})
    assert empty.judged() == []
    assert empty.lines() == []


def test_the_table_shows_every_row_and_ratio() -> None:
    found = results()
    text = found.table()
    for row in ROWS:
        assert row.title in text
    assert "80 (0.80x)" in text
    assert json.loads(json.dumps(found.to_json()))["ratios"]["pass-1"]["moa"]["ttft_ms"]["median"] == 0.8


def test_a_ratio_compares_values_of_one_round() -> None:
    """A machine that becomes slower meanwhile changes both values, not their ratio."""
    found = Results(ROWS, "moa-on_complete", {})
    for slower in (1, 2, 4, 8, 16, 32):
        found.add(ROWS[0], {"vllm": {"ttft_ms": 10.0 * slower}, "moa": {"ttft_ms": 5.0 * slower}})
        found.add(ROWS[0], {"vllm": {"ttft_ms": 10.0 * slower}, "stock": {"ttft_ms": 30.0 * slower}})
    assert found.ratio("pass-1", "moa", "ttft_ms") == Spread(0.5, 0.5, 0.5, 0.96875)
    assert found.value("pass-1", "moa", "ttft_ms") == 30.0
    (verdict,) = found.verdicts()
    assert verdict.verdict == "ahead"


def test_a_row_has_one_line_with_its_verdict() -> None:
    lines = results().table().splitlines()
    for row in ROWS:
        (line,) = [one for one in lines if one.startswith(("ahead", "equal", "behind")) and row.title in one]
        assert line.split()[0] == ("behind" if row.deciding.endswith("_per_s") else "ahead")
