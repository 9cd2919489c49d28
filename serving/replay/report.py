"""Comparison of recorded and new answers, as a table and as JSON."""

from collections.abc import Callable, Sequence
from typing import Any

from serving.replay.layers import Comparison, Outcome

SHOWN_CHARS = 160  # of an answer in the table; the JSON has all of it
HEAD = ("", "before", "after")


def table(comparisons: Sequence[Comparison]) -> str:
    """A Markdown table for each agent, and one of the totals."""
    parts = []
    for one in comparisons:
        rows = [
            ("model", one.before.model, one.after.model),
            ("answer", _answer(one.before), _answer(one.after)),
            *_numbers(one.before, one.after),
        ]
        parts.append(f"{one.recording}: layer {one.layer}, agent {one.agent} ({one.role})\n\n{_markdown(rows)}")
    if len(comparisons) > 1:
        before, after = [one.before for one in comparisons], [one.after for one in comparisons]
        same = sum(one.before.text == one.after.text for one in comparisons)
        rows = [("answers that are the same", "", str(same)), *_numbers(_sum(before), _sum(after))]
        parts.append(f"All {len(comparisons)} agents\n\n{_markdown(rows)}")
    return "\n\n".join(parts)


def as_json(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The comparisons as JSON values; an unknown number is null."""
    return [
        {
            "recording": one.recording,
            "layer": one.layer,
            "agent": one.agent,
            "role": one.role,
            "before": _json(one.before),
            "after": _json(one.after),
        }
        for one in comparisons
    ]


def _json(outcome: Outcome) -> dict[str, Any]:
    return {
        "model": outcome.model,
        "text": outcome.text,
        "prompt_tokens": outcome.usage.prompt_tokens,
        "completion_tokens": outcome.usage.completion_tokens,
        "cost_usd": outcome.cost_usd,
        "seconds": None if outcome.seconds is None else round(outcome.seconds, 3),
        "error": outcome.error,
    }


def _answer(outcome: Outcome) -> str:
    text = f"failed: {outcome.error}" if outcome.error is not None else " ".join(outcome.text.split()) or "(empty)"
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _numbers(before: Outcome, after: Outcome) -> list[tuple[str, str, str]]:
    def row(name: str, value: Callable[[Outcome], float | None], form: str) -> tuple[str, str, str]:
        def shown(outcome: Outcome) -> str:
            found = value(outcome)
            return "unknown" if found is None else format(found, form)

        return name, shown(before), shown(after)

    return [
        row("prompt tokens", lambda one: one.usage.prompt_tokens, ",d"),
        row("completion tokens", lambda one: one.usage.completion_tokens, ",d"),
        row("cost in US$", lambda one: one.cost_usd, ".6f"),
        row("seconds", lambda one: one.seconds, ".2f"),
    ]


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    """Totals; a total with an unknown part is unknown."""
    usage = outcomes[0].usage
    for one in outcomes[1:]:
        usage = usage + one.usage
    return Outcome("", "", usage, _total([o.cost_usd for o in outcomes]), _total([o.seconds for o in outcomes]))


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _markdown(rows: Sequence[tuple[str, str, str]]) -> str:
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in (HEAD, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    rule = " | ".join("-" * max(width, 3) for width in widths)
    return "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))
