"""Report of a run: table on the terminal, JSON, CSV and HTML file."""

import csv
import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from loadtest.results.exchange import Exchange
from loadtest.results.metrics import FORMULAS, QUANTILES, REQUEST_MEASURES, Summary, distributions, summarise
from loadtest.results.slo import RUN_MEASURES, Slo, Verdict

COUNTS = ("requests", "completed")


@dataclass(frozen=True, slots=True)
class Result:
    """One run with its summary and its SLO verdicts."""

    settings: dict[str, Any]  # host, model, workload and others, as used
    exchanges: tuple[Exchange, ...]
    summary: Summary
    slo: Slo
    verdicts: tuple[Verdict, ...]

    @classmethod
    def of(cls, settings: dict[str, Any], exchanges: Iterable[Exchange], duration_s: float, slo: Slo) -> "Result":
        """Summarise and judge the exchanges."""
        kept = tuple(exchanges)
        summary = summarise(kept, duration_s, slo.good)
        return cls(settings, kept, summary, slo, slo.judge(summary))

    @property
    def passed(self) -> bool:
        """True if every limit is met and at least one answer is complete: a run of errors never passes."""
        return self.summary.completed > 0 and all(verdict.met for verdict in self.verdicts)

    @property
    def exit_code(self) -> int:
        """Exit code of every command that judges a run: 0 if it passed, 1 if not."""
        return 0 if self.passed else 1

    @property
    def verdict(self) -> str:
        """The judgement in one line: of the terminal, of Locust's page and of the report."""
        if not self.summary.completed:
            return "FAILED: no answer is complete"
        if missed := [str(verdict.limit) for verdict in self.verdicts if not verdict.met]:
            return f"FAILED: {', '.join(missed)}"
        return "passed" if self.verdicts else "passed: there is no SLO, and at least one answer is complete"

    def by_scenario(self) -> dict[str, list[Exchange]]:
        """Group the exchanges by scenario, sorted by name."""
        groups: dict[str, list[Exchange]] = {}
        for exchange in self.exchanges:
            groups.setdefault(exchange.scenario, []).append(exchange)
        return dict(sorted(groups.items()))


def to_json(result: Result) -> dict[str, Any]:
    """Convert to the content of `summary.json`."""
    return {
        "settings": result.settings,
        "formulas": dict(FORMULAS),
        "slo": str(result.slo),
        "passed": result.passed,
        "verdict": result.verdict,
        "verdicts": [
            {"limit": str(verdict.limit), "value": verdict.value, "met": verdict.met} for verdict in result.verdicts
        ],
        "summary": dataclasses.asdict(result.summary),
        "scenarios": {
            name: {measure: dataclasses.asdict(found) for measure, found in distributions(members).items()}
            for name, members in result.by_scenario().items()
        },
    }


def write_csv(file: TextIO, exchanges: Iterable[Exchange]) -> None:
    """Write one row per request: its fields, then its measures in milliseconds; empty if one does not apply."""
    fields = [field.name for field in dataclasses.fields(Exchange) if field.name != "gaps_s"]
    writer = csv.writer(file)
    writer.writerow([*fields, *REQUEST_MEASURES])
    for exchange in exchanges:
        measured = [measure(exchange) for measure in REQUEST_MEASURES.values()]
        values = [getattr(exchange, name) for name in fields]
        writer.writerow(["" if v is None else round(v, 6) if isinstance(v, float) else v for v in (*values, *measured)])


def table(result: Result) -> str:
    """Format the summary as text, with the formula of each measure."""
    summary = result.summary
    quantiles = [f"p{share * 100:g}" for share in QUANTILES]
    lines = [f"{'':18}" + "".join(f"{name:>11}" for name in ("mean", *quantiles, "max"))]
    for name, found in summary.distributions.items():
        numbers = (found.mean, found.p50, found.p90, found.p95, found.p99, found.max)
        lines.append(f"{name:18}" + "".join(f"{number:11.1f}" for number in numbers))
    lines.append("")
    for name in (*COUNTS, *RUN_MEASURES):
        value = getattr(summary, name)
        lines.append(f"{name:18}{'unknown' if value is None else f'{value:.4g}':>11}  {FORMULAS.get(name, '')}")
    lines.extend(f"error             {number:>11}  {kind}" for kind, number in summary.errors.items())
    lines.append("")
    lines.extend(f"{name:18} = {FORMULAS[name]}" for name in summary.distributions)
    lines.append("")
    lines.append(f"SLO: {result.slo}")
    for verdict in result.verdicts:
        lines.append(f"  {'met   ' if verdict.met else 'FAILED'}  {verdict.limit}  (measured {verdict.measured})")
    lines.append(f"Verdict: {result.verdict}")
    return "\n".join(lines)


def write(result: Result, out: Path, html: str) -> list[Path]:
    """Write `report.html`, `exchanges.csv` and `summary.json` to the folder `out`; return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "report.html", out / "exchanges.csv", out / "summary.json"]
    paths[0].write_text(html)
    with paths[1].open("w", newline="") as file:
        write_csv(file, result.exchanges)
    paths[2].write_text(json.dumps(to_json(result), indent=2) + "\n")
    return paths
