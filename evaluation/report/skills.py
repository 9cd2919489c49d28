"""Accuracy by skill and cost of an answer, for chosen arms: the README's table "Which recipe"."""

from collections.abc import Sequence

from evaluation.analysis.accuracy import right_share, task
from evaluation.analysis.cost import ArmCost, costs
from evaluation.errors import EvaluationError
from evaluation.rows import Row
from evaluation.tables import UNKNOWN, Cell, Table, number, percent


def skills_table(rows: Sequence[Row], arms: Sequence[str]) -> Table:
    """Return one line per arm, in the order of `arms`; the best accuracy of each column is strong.

    Columns are the skills if all rows are of one dataset, otherwise the tasks (`dataset/skill`), and `all` for the
    accuracy over all items. A failed answer counts as wrong; calls and tokens are means over the other answers. The
    column of reasoning tokens is there only if an arm has some.

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
    thinking = any(entry.reasoning_tokens for entry in spent.values())
    return Table(
        "Right answers, %, with 95% intervals",
        ("model", *columns, "all", "calls", "tokens", *(("reasoning tokens",) if thinking else ())),
        tuple(
            (
                Cell(f"`{arm}`"),
                *(
                    percent(found, digits=0, strong=found is not None and found.value == top)
                    for found, top in zip(shares[arm], best, strict=True)
                ),
                *_cost(spent.get(arm), thinking),
            )
            for arm in arms
        ),
    )


def _cost(cost: ArmCost | None, thinking: bool) -> tuple[Cell, ...]:
    """Calls, tokens and, if `thinking`, reasoning tokens; unknown if every answer of the arm failed."""
    if cost is None:
        return (UNKNOWN,) * (3 if thinking else 2)
    reasoning = (number(cost.reasoning_tokens, 1),) if thinking else ()
    return (number(cost.calls), number(cost.tokens, 0), *reasoning)
