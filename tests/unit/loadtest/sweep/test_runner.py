"""A sweep over runs of a server that answers in a second up to four requests/s, and late above."""

import argparse
import csv
import json
from pathlib import Path

import pytest

from loadtest.errors import LoadError
from loadtest.progress import ProgressLine
from loadtest.results.exchange import Exchange
from loadtest.results.report import Result
from loadtest.results.slo import parse_slo
from loadtest.sweep import options as sweep_options
from loadtest.sweep.results import Sweep, table, write
from loadtest.sweep.runner import sweep
from loadtest.sweep.search import Search
from loadtest.traffic.options import Options

SLO = parse_slo("e2e_ms<=1000")


class Server:
    """Runs of ten requests each; `late_s` is the lag of the load generator."""

    def __init__(
        self, holds: float = 4, late_s: float = 0.0, stop_at: float | None = None, dies_at: float | None = None
    ) -> None:
        self.holds, self.late_s, self.stop_at, self.dies_at = holds, late_s, stop_at, dies_at
        self.dead = False
        self.durations_s: dict[float, float] = {}

    def __call__(self, options: Options) -> Result | None:
        rate = options.rate_per_s
        assert rate is not None
        self.durations_s[rate] = options.duration_s
        if rate == self.stop_at:
            return None
        if rate == self.dies_at:
            self.dead = True
        took_s = 1.0 if rate <= self.holds else 3.0
        exchanges = [Exchange("streaming", "m", True, i + self.late_s, took_s, planned_s=float(i)) for i in range(10)]
        return Result.of({}, exchanges, 10.0, options.slo)

    def lost(self) -> str | None:
        return "Connection refused" if self.dead else None


def swept(server: Server, start: float = 1, most: float = 1000, duration_s: float = 10) -> Sweep:
    options = Options(duration_s=duration_s, slo=SLO)
    return sweep(
        options,
        Search(start, most, 0.1),
        {"host": "h"},
        server,
        ProgressLine(),
        lambda: "Connection refused" if server.dead else None,
    )


@pytest.mark.parametrize(("dies_at", "met", "when"), [(8.0, 4, "during"), (2.0, 2, "after"), (1.0, 1, "after")])
def test_a_server_that_dies_is_named_and_its_rate_is_not_judged(
    dies_at: float, met: float, when: str, tmp_path: Path
) -> None:
    found = swept(Server(dies_at=dies_at))
    assert (found.search.met, found.search.missed, found.complete, found.exit_code) == (met, None, False, 2)
    assert found.outcome.startswith(
        f"The server stopped answering {when} the run at {dies_at:g} requests/s (Connection refused); start it again"
    )
    assert f"At least {met:g} requests/s meet the SLO" in found.outcome
    assert [step.rate_per_s for step in found.steps] == [rate for rate in (1, 2, 4) if rate <= met]
    assert json.loads(write(found, tmp_path)[1].read_text())["server_lost"].startswith(when)


def test_a_rate_that_is_too_high_for_a_living_server_is_a_missed_one() -> None:
    assert swept(Server()).loss is None


def test_finds_the_highest_rate_and_says_what_it_measures() -> None:
    server = Server()
    found = swept(server)
    assert (found.search.met, found.complete, found.exit_code) == (4, True, 0)
    assert [step.rate_per_s for step in found.steps] == [1, 2, 4, 8, 6, 5, 4.5, 4.25]
    text = table(found)
    assert "SLO: e2e_ms<=1000, goodput_share>=0.95" in text
    assert text.endswith("Highest rate that met the SLO: 4 requests/s; 4.25 missed it.")
    rows = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "4", "4.25", "4.5", "5", "6", "8"]
    assert rows[2] == ["4", "10", "1", "100.0%", "0.0%", "1000.0", "0.0", "passed"]
    assert rows[3][3:] == ["0.0%", "0.0%", "3000.0", "0.0", "FAILED:", "goodput_share>=0.95"]


def test_a_slow_rate_runs_until_twenty_requests_are_planned() -> None:
    server = Server()
    swept(server, duration_s=15)
    assert server.durations_s[1] == 20
    assert server.durations_s[2] == server.durations_s[8] == 15


def test_no_rate_within_the_slo_is_a_failure() -> None:
    found = swept(Server(holds=0))
    assert (found.search.met, found.exit_code) == (None, 1)
    assert found.outcome.startswith("No rate met the SLO")


def test_the_highest_rate_to_try_is_a_lower_bound() -> None:
    found = swept(Server(holds=100), most=3)
    assert (found.search.met, found.exit_code) == (3, 0)
    assert found.outcome.startswith("At least 3 requests/s")


def test_a_sweep_that_is_stopped_keeps_what_it_has() -> None:
    found = swept(Server(stop_at=4))
    assert (found.search.met, found.complete, found.exit_code, len(found.steps)) == (2, False, 2, 2)
    assert found.outcome == "Stopped early. At least 2 requests/s meet the SLO: no rate that was tried missed it."


def test_a_load_generator_that_is_too_slow_is_named() -> None:
    assert "load generator" not in swept(Server(late_s=0.09)).outcome
    assert "At 1 requests/s the load generator sent requests 110 ms late (p95)" in swept(Server(late_s=0.11)).outcome


def test_files_have_a_row_for_each_rate(tmp_path: Path) -> None:
    paths = write(swept(Server()), tmp_path)
    assert [path.name for path in paths] == ["sweep.csv", "sweep.json"]
    with paths[0].open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["rate_per_s"]) for row in rows] == [1, 2, 4, 8, 6, 5, 4.5, 4.25]
    assert [row["met"] for row in rows] == ["True"] * 3 + ["False"] * 5
    assert (rows[3]["e2e_ms_p95"], rows[3]["answer_ms_p95"]) == ("3000.0", "")
    content = json.loads(paths[1].read_text())
    assert (content["highest_rate_per_s"], content["lowest_missed_rate_per_s"], content["complete"]) == (4, 4.25, True)
    assert len(content["steps"]) == len(rows) == 8


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=0.0)
    sweep_options.add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_rate_is_the_first_one() -> None:
    assert sweep_options.search_of(parsed(), SLO) is None
    assert sweep_options.search_of(parsed("--sweep"), SLO) == Search(1, 1000, 0.1)
    chosen = parsed("--sweep", "--rate", "5", "--sweep-max", "9", "--sweep-precision", "0.2")
    assert sweep_options.search_of(chosen, SLO) == Search(5, 9, 0.2)


def test_a_limit_that_low_rates_miss_is_refused() -> None:
    with pytest.raises(LoadError, match="cannot use the limit tokens_per_s>=5: low rates miss it, too"):
        sweep_options.search_of(parsed("--sweep"), parse_slo("tokens_per_s>=5"))
