"""The sections on the accuracy and cost of every arm."""

from collections.abc import Mapping, Sequence

from evaluation.analysis.accuracy import ArmAccuracy, accuracy, versus
from evaluation.analysis.cost import costs
from evaluation.analysis.recommend import Currency, Recommendation, offers, pareto_front
from evaluation.report import plots
from evaluation.report.axes import ordered
from evaluation.report.section import Section
from evaluation.rows import Row
from evaluation.tables import UNKNOWN, Cell, Table, number, percent


def arms_section(rows: Sequence[Row]) -> Section:
    """Build the tables of accuracy and cost per arm."""
    spent = {entry.arm: entry for entry in costs(rows)}
    scored = accuracy(rows)
    thinking = any(entry.reasoning_tokens for entry in spent.values())
    computed = any(entry.tflops is not None for entry in spent.values())
    best = scored[0].arm if scored and scored[0].overall else None
    body = []
    for entry in scored:
        cost = spent.get(entry.arm)
        against = versus(rows, entry.arm, best) if best is not None and entry.arm != best else None
        body.append(
            (
                Cell(entry.arm),
                percent(entry.overall, strong=entry.arm == best),
                Cell(f"{100 * against.difference:+.1f} (p {against.p:.2g})") if against else UNKNOWN,
                number(cost.calls if cost else None),
                number(cost.tokens if cost else None, 0),
                number(cost.completion_tokens if cost else None, 1),
                *((number(cost.reasoning_tokens if cost else None, 1),) if thinking else ()),
                _significant(cost.usd_per_1000 if cost else None),
                *((_significant(cost.tflops if cost else None),) if computed else ()),
                number(cost.latency_s if cost else None, 3),
                number(cost.latency_p95_s if cost else None, 3),
                Cell(str(entry.overall.n if entry.overall else 0)),
                Cell(f"{entry.failed}/{entry.degraded}"),
            )
        )
    table = Table(
        "Accuracy and cost of an answer",
        (
            "arm",
            "accuracy, % [95%]",
            "difference from the best, points",
            "calls",
            "tokens",
            "completion tokens",
            *(("reasoning tokens",) if thinking else ()),
            "US$ per 1,000 answers",
            *(("TFLOPs",) if computed else ()),
            "mean s",
            "p95 s",
            "items",
            "failed/degraded",
        ),
        tuple(body),
        note=(
            "Intervals are Wilson's; p is a two-sided sign test on the items where the two arms differ. Tokens are"
            " summed over all agents, including prompts; seconds are until the whole answer, under the load of the run."
        ),
    )
    tasks = list(dict.fromkeys(task for entry in scored for task in entry.tasks))
    tokens = {arm: entry.tokens for arm, entry in spent.items()}
    tables = (table, _task_table(scored, tasks, tokens)) if len(tasks) > 1 else (table,)
    figures = (plots.by_task(scored),) if tasks else ()
    return Section("arms", "All arms", "Accuracy of each arm and cost of its answers.", tables, figures)


def _significant(value: float | None) -> Cell:
    """Three significant digits, without an exponent where that is short."""
    return UNKNOWN if value is None else Cell(f"{value:,.0f}" if value >= 1000 else f"{value:.3g}")


def _task_table(scored: Sequence[ArmAccuracy], tasks: Sequence[str], tokens: Mapping[str, float | None]) -> Table:
    tops = {
        task: max((entry.tasks[task].value for entry in scored if task in entry.tasks), default=0.0) for task in tasks
    }
    body = tuple(
        (
            Cell(entry.arm),
            *(
                percent(part, strong=part.value == tops[task])
                if (part := entry.tasks.get(task)) is not None
                else UNKNOWN
                for task in tasks
            ),
            Cell(f"{100 * entry.macro:.1f}") if entry.macro is not None else UNKNOWN,
            number(tokens.get(entry.arm), 0),
        )
        for entry in scored
    )
    return Table("Accuracy by task, % [95%]", ("arm", *tasks, "mean of tasks", "tokens"), body)


def pareto_section(rows: Sequence[Row], currency: Currency, advice: Recommendation) -> Section:
    """Build a plot of accuracy against cost for each known kind of cost, that of `currency` first."""
    known = [(axis, found) for axis in ordered(currency) if (found := offers(rows, axis.cost))]
    chosen = advice.chosen.arm if advice.chosen else None
    fronts = [f"in {axis.name}: " + ", ".join(offer.arm for offer in pareto_front(found)) for axis, found in known]
    lead = "Filled points are on the Pareto front: no other arm is both cheaper and more accurate. Arms on the front "
    return Section(
        "pareto",
        "Accuracy and cost",
        lead + "; ".join(fronts) + "." if fronts else "No arm has both a known accuracy and a known cost.",
        figures=tuple(plots.pareto(found, axis, chosen) for axis, found in known),
    )
