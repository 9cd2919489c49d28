"""The section on judged answers: win rates, raw and length-controlled, and ratings."""

from collections.abc import Callable, Mapping, Sequence

from evaluation import papers
from evaluation.analysis.cost import costs
from evaluation.analysis.length_control import win_rates
from evaluation.analysis.verdicts import GradeRow, grade_table
from evaluation.criteria import CRITERIA, SCALE
from evaluation.judging.verdicts import WHOLE_SCALE, Comparison, Grade
from evaluation.report.section import Section
from evaluation.rows import Row
from evaluation.tables import UNKNOWN, Cell, Table, number

Tokens = Mapping[str, float | None]  # of an answer, by arm


def judge_section(comparisons: Sequence[Comparison], grades: Sequence[Grade], rows: Sequence[Row] = ()) -> Section:
    """Build a table of win rates per judge, kind of verdict and baseline, and one of ratings per scale.

    `rows`, the judged answers, give the tokens of an answer.
    """
    tokens = {entry.arm: entry.tokens for entry in costs(rows)}
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for pair in comparisons:
        if pair.done:
            judge = f"{pair.judge} (weighted)" if pair.weighted else pair.judge
            groups.setdefault((judge, pair.baseline), []).append(pair)
    tables = [_win_table(judge, baseline, pairs, tokens) for (judge, baseline), pairs in groups.items()]
    for of_criteria, table in ((False, _grade_table), (True, _criteria_table)):
        if rated := [grade for grade in grades if grade.done and (grade.scale == SCALE) is of_criteria]:
            tables.append(table(rated, tokens))
    lead = (
        "Each pair was judged in both orders; the length-controlled rate removes the judge's bias for long answers."
        if tables
        else "No data: run 'python -m evaluation judge DIR --judge MODEL' to compare or grade answers without a scorer."
    )
    return Section("judge", "Judged answers", lead, tuple(tables), (), (papers.BENCHMARKS,))


def _win_table(judge: str, baseline: str, pairs: Sequence[Comparison], tokens: Tokens) -> Table:
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
                number(tokens.get(rate.arm), 0),
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
            "tokens",
            "length weight",
            "characters",
            "baseline characters",
            "orders agree, %",
            "judged/unjudged",
        ),
        tuple(body),
        note=(
            "Ties count half. Tokens are of all agents per answer, prompts included. A length weight above 0 means that"
            " the judge prefers longer answers."
        ),
    )


def _grade_table(grades: Sequence[Grade], tokens: Tokens) -> Table:
    table = grade_table(grades)
    turns = max(len(row.turns) for row in table)
    skills = list(dict.fromkeys(skill for row in table for skill in row.skills))

    def means(row: GradeRow) -> list[float | None]:
        of_turns = [row.turns[turn] if turn < len(row.turns) else None for turn in range(turns)]
        return of_turns + [row.skills.get(skill) for skill in skills]

    names = [*(f"turn {turn + 1}" for turn in range(turns)), *skills]
    return _ratings(f"Ratings from 1 to {WHOLE_SCALE}", table, tokens, names, means)


def _criteria_table(grades: Sequence[Grade], tokens: Tokens) -> Table:
    """Mean rating by criterion, in the order of `CRITERIA`."""
    table = grade_table(grades)
    names = [name for name in CRITERIA if any(name in row.criteria for row in table)]

    def means(row: GradeRow) -> list[float | None]:
        return [row.criteria.get(name) for name in names]

    note = (
        "A mean by criterion is over the answers to which the criterion applies; 'mean' is over answers of which every"
        " criterion is rated."
    )
    return _ratings(f"Ratings by criterion, from 1 to {SCALE}", table, tokens, names, means, note)


def _ratings(
    title: str,
    table: Sequence[GradeRow],
    tokens: Tokens,
    names: Sequence[str],
    means: Callable[[GradeRow], Sequence[float | None]],
    note: str = "",
) -> Table:
    """A table of mean ratings, one line per arm and judge; `means` has one value for each of `names`."""
    body = tuple(
        (
            Cell(row.arm),
            Cell(row.judge),
            number(row.overall),
            number(tokens.get(row.arm), 0),
            *map(number, means(row)),
            Cell(str(row.unrated)),
        )
        for row in table
    )
    return Table(title, ("arm", "judge", "mean", "tokens", *names, "unrated"), body, note)
