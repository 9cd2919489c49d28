"""A usage report as Markdown, CSV or JSON."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import orjson

from serving.store.usage_report import ScoreRow, UsageReport, UsageRow

Format = Literal["md", "csv", "json"]
HEADS = ("requests", "calls", "prompt tokens", "cached", "completion tokens", "US$")
SCORES = ("day", "model or recipe", "proposers", "answers", "average")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # first characters that make a spreadsheet compute a cell


def markdown(report: UsageReport) -> str:
    """The report as a Markdown document."""
    total = report.total
    of_key = "" if report.key is None else f" of the key {_cell(report.key)}"
    lines = [
        f"# Usage{of_key}: {report.period.title} (UTC)",
        "",
        f"{_plural(total.requests, 'request')}, of which {report.failed:,} failed, {report.cancelled:,} were cancelled"
        f" and {report.degraded:,} got a degraded answer. {total.prompt_tokens:,} prompt tokens"
        f" ({total.cached_tokens:,} cached), {total.completion_tokens:,} completion tokens, US$ {_usd(total.usd)}.",
        "",
        _budget(report),
    ]
    if total.uncounted:
        lines += ["", f"Tokens and dollars are lower bounds: {_plural(total.uncounted, 'call')} without token counts."]
    if total.unpriced:
        lines += ["", f"Dollars leave out {_plural(total.unpriced, 'call')} of models without a price."]
    for name, rows in report.by.items():
        cells = [(_cell(row.name), *_numbers(row)) for row in rows]
        lines += ["", f"## By {name}", "", *_table((name, *HEADS), cells, 1)]
    for title, scores in (
        ("Quality (a judge's grades, 0 to 1)", report.quality),
        ("Feedback (0 to 1)", report.feedback),
    ):
        if scores:
            lines += ["", f"## {title}", "", *_table(SCORES, [_score(row) for row in scores], 2)]
    return "\n".join(lines) + "\n"


def as_csv(report: UsageReport) -> str:
    """The report as one CSV table; `table` says which one of the report a row belongs to.

    Names that a spreadsheet would compute begin with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = (
        "requests",
        "calls",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "usd",
        "uncounted",
        "unpriced",
    )
    writer.writerow(("first_day", "last_day", "table", "name", "proposers", *fields, "answers", "score"))
    days = (report.period.first, report.period.last)
    tables: list[tuple[str, Sequence[UsageRow]]] = [("total", [report.total]), *report.by.items()]
    for table, rows in tables:
        for row in rows:
            values = [getattr(row, name) for name in fields]
            values[5] = f"{row.usd:.8f}"
            writer.writerow((*days, table, _safe(row.name), "", *values, "", ""))
    for table, scores in (("quality", report.quality), ("feedback", report.feedback)):
        for one in scores:
            blank = [""] * len(fields)
            place = (one.day, one.day, table, _safe(one.model), one.proposers)
            writer.writerow((*place, *blank, one.answers, f"{one.score:.4f}"))
    return out.getvalue()


def as_json(report: UsageReport) -> str:
    """The report as JSON, as `GET /v1/usage` answers."""
    return orjson.dumps(report.json(), option=orjson.OPT_INDENT_2).decode() + "\n"


FORMATS: Mapping[Format, Callable[[UsageReport], str]] = {"md": markdown, "csv": as_csv, "json": as_json}
CONTENT_TYPES: Mapping[Format, str] = {"md": "application/json", "csv": "text/csv", "json": "application/json"}


def _budget(report: UsageReport) -> str:
    month = f"US$ {_usd(report.month_usd)} in {report.period.last[:7]}"
    if report.budget_usd is None:
        return f"Month: {month}; no budget is set (`budget_usd_per_month` of the profile)."
    return f"Month: {month}, {report.month_usd / report.budget_usd:.1%} of the budget of US$ {report.budget_usd:,.2f}."


def _numbers(row: UsageRow) -> tuple[str, ...]:
    counts = (row.requests, row.calls, row.prompt_tokens, row.cached_tokens, row.completion_tokens)
    lower_bound = "≥ " if row.uncounted or row.unpriced else ""
    return (*(f"{count:,}" for count in counts), f"{lower_bound}{_usd(row.usd)}")


def _score(row: ScoreRow) -> tuple[str, ...]:
    return (row.day, _cell(row.model), str(row.proposers), f"{row.answers:,}", f"{row.score:.2f}")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    """Lines of a Markdown table, aligned for the terminal; the first `texts` columns are texts, the others numbers."""
    if not rows:
        return ["None."]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if place < texts else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return [line(heads), line(rule), *(line(row) for row in rows)]


def _cell(text: str) -> str:
    """`text` in a Markdown table: on one line, without characters that would end the cell or begin markup."""
    plain = " ".join(text.split())
    return "".join(f"\\{char}" if char in "\\|`*[]<>" else char for char in plain)


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _usd(usd: float) -> str:
    return f"{usd:,.2f}" if usd >= 100 or usd == 0 else f"{usd:.4f}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
