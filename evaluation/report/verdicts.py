"""The section on judged answers: win rates, raw and length-controlled, and ratings."""

from collections.abc import Sequence

from evaluation import papers
from evaluation.analysis.length_control import win_rates
from evaluation.analysis.verdicts import grade_table
from evaluation.judging.verdicts import Comparison, Grade
from evaluation.report.section import Section
from evaluation.tables import UNKNOWN, Cell, Table, number


def judge_section(comparisons: Sequence[Comparison], grades: Sequence[Grade]) -> Section:
    """Build a table of win rates per judge, kind of verdict and baseline, and one of ratings."""
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for pair in comparisons:
        if pair.done:
            judge = f"{pair.judge} (weighted)" if pair.weighted else pair.judge
            groups.setdefault((judge, pair.baseline), []).append(pair)
    tables = [_win_table(judge, baseline, pairs) for (judge, baseline), pairs in groups.items()]
    if rated := [grade for grade in grades if grade.done]:
        tables.append(_grade_table(rated))
    lead = (
        "Each pair was judged in both orders; the length-controlled rate removes the judge's bias for long answers."
        if tables
        else "No data: run 'python -m evaluation judge DIR --judge MODEL' to compare or grade answers without a scorer."
    )
    return Section("judge", "Judged answers", lead, tuple(tables), (), (papers.BENCHMARKS,))


def _win_table(judge: str, baseline: str, pairs: Sequence[Comparison]) -> Table:
    body = []
    for rate in win_rates(pairs):
        controlled = UNKNOWN
        if rate.controlled is not None:
            known = rate.controlled_low is not None and rate.controlled_high is not None
            interval = f" [{rate.controlled_low:.1f}, {rate.controlled_high:.1f}]" if known else ""
            text = f"{rate.controlled:.1f}{interval}"
            controlled = Cell(text, rate.controlled / 100)
        body.append(
            (
                Cell(rate.arm),
                controlled,
                Cell(f"{rate.raw:.1f} [{rate.raw_low:.1f}, {rate.raw_high:.1f}]", rate.raw / 100)
                if rate.judged
                else UNKNOWN,
                number(rate.length_weight),
                Cell(f"{rate.mean_chars:,.0f}"),
                Cell(f"{rate.baseline_chars:,.0f}"),
                Cell(f"{100 * rate.consistent:.0f}") if rate.consistent is not None else UNKNOWN,
                Cell(f"{rate.judged}/{rate.unjudged}"),
            )
        )
    return Table(
        f"Win rate against {baseline}, judged by {judge}, % [95%]",
        (
            "arm",
            "length-controlled",
            "raw",
            "length weight",
            "characters",
            "baseline characters",
            "orders agree, %",
            "judged/unjudged",
        ),
        tuple(body),
        note="Ties count half. A length weight above 0 means that the judge prefers longer answers.",
    )


def _grade_table(grades: Sequence[Grade]) -> Table:
    table = grade_table(grades)
    turns = max(len(row.turns) for row in table)
    skills = list(dict.fromkeys(skill for row in table for skill in row.skills))
    body = tuple(
        (
            Cell(row.arm),
            Cell(row.judge),
            number(row.overall),
            *(number(row.turns[turn] if turn < len(row.turns) else None) for turn in range(turns)),
            *(number(row.skills.get(skill)) for skill in skills),
            Cell(str(row.unrated)),
        )
        for row in table
    )
    columns = ("arm", "judge", "mean", *(f"turn {turn + 1}" for turn in range(turns)), *skills, "unrated")
    return Table("Ratings from 1 to 10", columns, body)
