"""Results of a sweep: one row for each rate, as a table, CSV and JSON."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.results.metrics import REQUEST_MEASURES
from loadtest.results.report import Result
from loadtest.results.slo import Slo
from loadtest.sweep.search import Search

LATE_MS = 100.0  # lag of the schedule's p95 from which the load generator itself is too slow


@dataclass(frozen=True, slots=True)
class Step:
    """One rate and its run."""

    rate_per_s: float  # asked for
    result: Result

    @property
    def lag_ms(self) -> float:
        """95th percentile of the time by which requests were sent late."""
        found = self.result.summary.distributions.get("lag_ms")
        return 0.0 if found is None else found.p95

    def row(self) -> dict[str, Any]:
        """Columns of the CSV file; `None` where a measure does not apply. Times are milliseconds."""
        summary = self.result.summary
        row: dict[str, Any] = {
            "rate_per_s": self.rate_per_s,
            "met": self.result.passed,
            "requests": summary.requests,
            "requests_per_s": round(summary.requests_per_s, 4),
            "goodput_share": round(summary.goodput_share, 4),
            "error_share": round(summary.error_share, 4),
        }
        for measure in REQUEST_MEASURES:
            found = summary.distributions.get(measure)
            for quantile in ("p50", "p95", "p99"):
                row[f"{measure}_{quantile}"] = None if found is None else round(getattr(found, quantile), 2)
        return {**row, "verdict": self.result.verdict}


@dataclass(frozen=True, slots=True)
class Sweep:
    """All rates that were tried, in the order of the search."""

    settings: dict[str, Any]
    slo: Slo
    search: Search
    steps: tuple[Step, ...]
    complete: bool  # False: stopped early, or the server was lost
    loss: str | None = None  # when the server was lost, and why

    @property
    def exit_code(self) -> int:
        """0: a rate met the SLO; 1: none did; 2: stopped before the end, or the server was lost."""
        if not self.complete:
            return 2
        return 0 if self.search.met is not None else 1

    @property
    def outcome(self) -> str:
        """Outcome of the search in words, with a warning if the load generator was too slow to find more."""
        said = [self.search.outcome]
        if self.loss is not None:
            said = [f"The server stopped answering {self.loss}; start it again and repeat the sweep.", *said]
        elif not self.complete:
            said = ["Stopped early.", *said]
        if late := [step for step in self.steps if step.lag_ms > LATE_MS]:
            first = min(late, key=lambda step: step.rate_per_s)
            said.append(
                f"At {first.rate_per_s:g} requests/s the load generator sent requests {first.lag_ms:.0f} ms late (p95):"
                " from there on its own speed is measured, too; run it on another machine."
            )
        return " ".join(said)


def table(sweep: Sweep) -> str:
    """Format the rates in ascending order, with the 95th percentile of each measure that the SLO limits."""
    limited = list(dict.fromkeys(limit.measure for limit in sweep.slo.request)) or ["e2e_ms"]
    measures = [*(name for name in limited if name != "lag_ms"), "lag_ms"]
    lines = [
        f"{'rate':>10} {'requests':>9} {'answered/s':>11} {'goodput':>8} {'errors':>7}"
        + "".join(f"{f'{name} p95':>15}" for name in measures)
        + "  verdict"
    ]
    for step in sorted(sweep.steps, key=lambda step: step.rate_per_s):
        summary = step.result.summary
        lines.append(
            f"{step.rate_per_s:>10g} {summary.requests:>9} {summary.requests_per_s:>11.3g}"
            f" {summary.goodput_share:>8.1%} {summary.error_share:>7.1%}"
            + "".join(f"{_p95(step, name):>15}" for name in measures)
            + f"  {step.result.verdict}"
        )
    return "\n".join([f"SLO: {sweep.slo}", "", *lines, "", sweep.outcome])


def _p95(step: Step, measure: str) -> str:
    found = step.result.summary.distributions.get(measure)
    return "-" if found is None else f"{found.p95:.1f}"


def to_json(sweep: Sweep) -> dict[str, Any]:
    """Convert to the content of `sweep.json`."""
    return {
        "settings": sweep.settings,
        "slo": str(sweep.slo),
        "complete": sweep.complete,
        "server_lost": sweep.loss,
        "highest_rate_per_s": sweep.search.met,
        "lowest_missed_rate_per_s": sweep.search.missed,
        "outcome": sweep.outcome,
        "steps": [step.row() for step in sweep.steps],
    }


def write(sweep: Sweep, out: Path) -> list[Path]:
    """Write `sweep.csv` and `sweep.json` to the folder `out`; return their paths."""
    paths = [out / "sweep.csv", out / "sweep.json"]
    rows = [step.row() for step in sweep.steps]
    with paths[0].open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["rate_per_s"])
        writer.writeheader()
        writer.writerows(rows)
    paths[1].write_text(json.dumps(to_json(sweep), indent=2) + "\n")
    return paths
