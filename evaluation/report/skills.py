"""Accuracy by skill and cost of an answer, for chosen arms: the README's table "Which recipe"."""

from collections.abc import Callable, Sequence

from evaluation.analysis.accuracy import right_share, task
from evaluation.analysis.cost import ArmCost, costs
from evaluation.errors import EvaluationError
from evaluation.rows import Row
from evaluation.tables import UNKNOWN, Cell, Table, number, percent

REASONING = "reasoning tokens"
OPTIONAL: dict[str, Callable[[ArmCost], float | None]] = {
    REASONING: lambda cost: cost.reasoning_tokens,
    "US$ per 1,000 answers": lambda cost: cost.usd_per_1000,
    "TFLOPs": lambda cost: cost.tflops,
    "TFLOPs in sequence": lambda cost: cost.tflops_in_sequence,
}


def skills_table(rows: Sequence[Row], arms: Sequence[str]) -> Table:
    """Return one line per arm, in the order of `arms`; the best accuracy of each column is strong.

    Columns are the skills if all rows are of one dataset, otherwise the tasks (`dataset/skill`), and `all` for the
    accuracy over all items. A failed answer counts as wrong; calls, tokens, cost and operations are means over the
    other answers. The columns of reasoning tokens, US$ and TFLOPs are there only if an arm has some.

    Raises:
        EvaluationError: An arm has no rows.
    """
    if missing := [arm for arm in arms if arm not in {row.arm for row in rows}]:
        known = ", ".join(dict.fromkeys(row.arm for row in rows))
        raise EvaluationError(f"The run has no arm {', '.join(missing)}; its arms are: {known}.")
    one_dataset = len({row.dataset for row in rows}) == 1
    names = {row.key: row.skill if one_dataset else task(row) for row in rows}
    columns = [name for name in dict.fromkeys(names.values()) if name]
    shares = {
        arm: [
            *(right_share([row for row in rows if row.arm == arm and names[row.key] == name]) for name in columns),
            right_share([row for row in rows if row.arm == arm]),
        ]
        for arm in arms
    }
    best = [
        max((found.value for found in column if found), default=None) for column in zip(*shares.values(), strict=True)
    ]
    spent = {entry.arm: entry for entry in costs(rows)}
    more = [column for column in OPTIONAL if any(OPTIONAL[column](entry) for entry in spent.values())]
    return Table(
        "Right answers, %, with 95% intervals",
        ("model", *columns, "all", "calls", "tokens", *more),
        tuple(
            (
                Cell(f"`{arm}`"),
                *(
                    percent(found, digits=0, strong=found is not None and found.value == top)
                    for found, top in zip(shares[arm], best, strict=True)
                ),
                *_cost(spent.get(arm), more),
            )
            for arm in arms
        ),
    )


def _cost(cost: ArmCost | None, more: Sequence[str]) -> tuple[Cell, ...]:
    """Calls, tokens and the optional columns; unknown if every answer of the arm failed."""
    if cost is None:
        return (UNKNOWN,) * (2 + len(more))
    values = [OPTIONAL[column](cost) for column in more]
    shown = [
        number(value, 1) if column == REASONING else UNKNOWN if value is None else Cell(f"{value:.3g}")
        for column, value in zip(more, values, strict=True)
    ]
    return (number(cost.calls), number(cost.tokens, 0), *shown)
