"""The section on loops of tool calls."""

from collections.abc import Sequence

from evaluation.analysis.cost import mean_tokens
from evaluation.analysis.loops import ArmLoops, loops
from evaluation.report.section import Section
from evaluation.rows import Row
from evaluation.tables import UNKNOWN, Cell, Table, number, percent

COLUMNS = (
    "arm",
    "right answers, %",
    "right first call, %",
    "valid calls, %",
    "requests",
    "calls",
    "tokens",
    "team asked",
    "second prompt cached, %",
    "without an end",
)
NOTE = (
    "Means per loop; intervals are 95%. Right first call: of the right tool, or rightly none. Valid calls name a tool"
    " that exists, with a JSON object that has its required parameters. Team asked: requests that asked the proposers."
    " Second prompt cached: share of the final agent's prompt tokens in each loop's second request. Without an end:"
    " loops that reached the bound of requests before a text. A failed loop counts as a wrong answer."
)


def loops_table(rows: Sequence[Row], arms: Sequence[str]) -> tuple[Table, ...]:
    """Return the table of tool loops, one line per arm of `arms`; none if no question had tools."""
    found = loops(rows, arms)
    with_tools = [row for row in rows if row.steps]
    tokens = {entry.arm: mean_tokens(row for row in with_tools if row.arm == entry.arm) for entry in found}
    lines = tuple(_line(entry, tokens[entry.arm]) for entry in found)
    return (Table("Loops of tool calls", COLUMNS, lines, NOTE),) if found else ()


def loops_section(rows: Sequence[Row]) -> tuple[Section, ...]:
    """Build the section; none if no question had tools."""
    tables = loops_table(rows, list(dict.fromkeys(row.arm for row in rows)))
    lead = "Questions with tools: the client runs the calls of each arm and sends their results back."
    return (Section("loops", "Tool loops", lead, tables),) if tables else ()


def _line(entry: ArmLoops, tokens: float | None) -> tuple[Cell, ...]:
    cached = entry.second_cached
    return (
        Cell(entry.arm),
        percent(entry.right),
        percent(entry.first_calls),
        percent(entry.valid_calls),
        number(entry.requests),
        number(entry.calls),
        number(tokens, 0),
        number(entry.panels),
        UNKNOWN if cached is None else Cell(f"{100 * cached:.1f}", cached),
        Cell(str(entry.unended)),
    )
