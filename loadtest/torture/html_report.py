"""HTML page of the torture report."""

from collections.abc import Sequence

from evaluation.report import page
from evaluation.report.section import Section
from evaluation.tables import Cell
from loadtest.results.cells import table
from loadtest.torture.results import PartResult, summary

COLUMNS = ("promise", "verdict", "measured", "limit")


def render(results: Sequence[PartResult]) -> str:
    """Render the report as one self-contained HTML file."""
    rows = [row for result in results for row in result.rows]
    facts = [(str(sum(row.kept is kept for row in rows)), word) for kept, word in ((True, "green"), (False, "red"))]
    facts.append((str(sum(row.kept is None for row in rows)), "not measured"))
    return page.render("Torture report", [_section(result) for result in results], lead=summary(results), facts=facts)


def _section(result: PartResult) -> Section:
    rows = [(row.promise, Cell(row.verdict, good=row.kept), row.measured, row.limit) for row in result.rows]
    run = f"{result.seconds:.0f} s{', the short run' if result.short else ''}, on {result.machine}"
    note = f"Repeat with: {result.command} ({run})."
    return Section(result.part, result.title, "", (table(COLUMNS, rows, note=note),))
