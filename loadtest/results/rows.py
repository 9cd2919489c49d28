"""Rows of the measures in Locust's web UI: the verdict, then each measure."""

from collections.abc import Iterable
from typing import Any

from loadtest.results.metrics import FORMULAS, QUANTILES, Summary
from loadtest.results.report import Result

COLUMNS = ("measure", "scenario", "value", *(f"p{share * 100:g}" for share in QUANTILES), "max", "formula")


def rows(result: Result) -> list[dict[str, Any]]:
    """Rows of the table: the verdict, each measure over all requests, then by scenario if there are several.

    They are those of the report that `python -m loadtest run` writes of the same requests.
    """
    if not result.exchanges:
        return []
    table: list[dict[str, Any]] = [
        {"scenario": "all", **row} for row in (*_verdicts(result), *_measures(result.summary))
    ]
    groups = result.by_scenario()
    if len(groups) > 1:
        for scenario, members in groups.items():
            of_scenario = Result.of({}, members, result.summary.duration_s, result.slo)
            table.extend({"scenario": scenario, **row} for row in _measures(of_scenario.summary))
    return table


def _verdicts(result: Result) -> Iterable[dict[str, Any]]:
    yield {"measure": "verdict", "value": result.verdict, "formula": f"SLO: {result.slo}"}
    for verdict in result.verdicts:
        met = "met" if verdict.met else "FAILED"
        yield {"measure": str(verdict.limit), "value": met, "formula": f"measured {verdict.measured}"}


def _measures(summary: Summary) -> Iterable[dict[str, Any]]:
    for name, formula in FORMULAS.items():
        if (found := summary.distributions.get(name)) is not None:
            quantiles = {
                f"p{share * 100:g}": round(value, 1)
                for share, value in zip(QUANTILES, (found.p50, found.p90, found.p95, found.p99), strict=True)
            }
            yield {
                "measure": name,
                "value": f"mean {found.mean:.1f}",
                **quantiles,
                "max": round(found.max, 1),
                "formula": formula,
            }
        elif hasattr(summary, name):
            value = getattr(summary, name)
            yield {"measure": name, "value": "unknown" if value is None else round(value, 3), "formula": formula}
    for kind, number in summary.errors.items():
        yield {"measure": "error", "value": f"{number} x {kind}", "formula": "requests with this error"}
