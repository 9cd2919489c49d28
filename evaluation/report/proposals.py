"""The sections on the effect of proposals: similarity, quality and diversity."""

from collections.abc import Sequence

from evaluation import papers
from evaluation.analysis.fit import MIN_TEAMS, planes
from evaluation.analysis.similarity import METRICS, similarities
from evaluation.report import plots
from evaluation.report.section import Section
from evaluation.rows import Row
from evaluation.tables import Cell, Table, number


def similarity_section(rows: Sequence[Row]) -> Section:
    """Compare final answers with the proposals that the aggregator saw."""
    table = similarities(rows)
    shown = Table(
        "Similarity of the final answer to its proposals",
        (
            "arm",
            *(f"{metric}, {what}" for metric in METRICS for what in ("right", "wrong", "rank corr.")),
            "ranked/answers",
        ),
        tuple(
            (
                Cell(arm),
                *(
                    number(value)
                    for metric in METRICS
                    for value in (of[metric].to_right, of[metric].to_wrong, of[metric].correlation)
                ),
                Cell(f"{max(entry.ranked for entry in of.values())}/{of[METRICS[0]].answers}"),
            )
            for arm in dict.fromkeys(entry.arm for entry in table)
            for of in [{entry.metric: entry for entry in table if entry.arm == arm}]
        ),
        note=(
            "Mean similarity to right and to wrong proposals; rank corr.: Spearman's correlation of similarity and"
            " quality within an answer, averaged over the answers whose proposals differ in both ('ranked')."
        ),
    )
    lead = (
        "The answers of a good aggregator resemble the better proposals."
        if table
        else "No data: run arms with proposers and a trace on a scored dataset."
    )
    return Section(
        "similarity",
        "Similarity to the proposals",
        lead,
        (shown,) if table else (),
        (plots.similarity(table),) if table else (),
    )


def fit_section(rows: Sequence[Row]) -> Section:
    """Show the effect of proposal quality and diversity on accuracy."""
    fitted = planes(rows)
    table = Table(
        "t = a*q + b*d + c",
        ("task", "teams", "a (quality)", "b (diversity)", "c", "a, points per sd", "b, points per sd", "R²"),
        tuple(
            (
                Cell(plane.task),
                Cell(str(len(plane.points))),
                number(plane.a, 3),
                number(plane.b, 3),
                number(plane.c, 3),
                number(100 * plane.a_sd),
                number(100 * plane.b_sd),
                number(plane.r2, 3),
            )
            for plane in fitted
        ),
        note=(
            "t, q: accuracy of final answers and of proposals; d: mean Vendi score of the proposals. The columns"
            " 'per sd' are comparable with each other."
        ),
    )
    teams = Table(
        "Teams",
        ("team", "task", "q, %", "d", "t, %"),
        tuple(
            (
                Cell(point.arm),
                Cell(point.task),
                Cell(f"{100 * point.quality:.1f}", point.quality),
                number(point.diversity),
                Cell(f"{100 * point.accuracy:.1f}", point.accuracy),
            )
            for plane in fitted[-1:]
            for point in plane.points
        ),
    )
    lead = (
        "The effect of better and of more diverse proposals on the accuracy of the final answer."
        if fitted
        else f"No data: run at least {MIN_TEAMS} teams that differ in quality and diversity."
    )
    figure = (plots.plane(fitted[-1]),) if fitted else ()
    return Section("fit", "Quality and diversity", lead, (table, teams) if fitted else (), figure, (papers.PLANE,))
