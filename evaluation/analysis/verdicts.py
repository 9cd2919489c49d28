"""Judges' verdicts as scores, and mean ratings as in MT-Bench."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from evaluation.judging.verdicts import Comparison, Grade
from evaluation.rows import Row


@dataclass(frozen=True, slots=True)
class GradeRow:
    """Mean ratings of an arm, from 1 to 10."""

    arm: str
    judge: str
    turns: tuple[float | None, ...]  # one per turn
    overall: float | None  # over all turns, as in MT-Bench
    skills: dict[str, float]
    unrated: int


def with_verdicts(rows: Sequence[Row], comparisons: Sequence[Comparison], grades: Sequence[Grade]) -> list[Row]:
    """Return `rows` with a score from verdicts if no scorer gave one.

    The score is the preference over the baseline, otherwise the mean rating scaled to [0, 1]. The baseline itself
    scores one half.
    """
    comparisons = _of_one_kind(comparisons)
    preferred = {(c.arm, c.dataset, c.item, c.sample): c.preference for c in comparisons if c.preference is not None}
    baselines = {(c.baseline, c.dataset, c.item, c.sample) for c in comparisons}
    ratings: dict[tuple[str, str, str, int], list[float]] = {}
    for grade in grades:
        if grade.rating is not None:
            ratings.setdefault((grade.arm, grade.dataset, grade.item, grade.sample), []).append(grade.rating)
    judged = []
    for row in rows:
        key = (row.arm, row.dataset, row.item, row.sample)
        score = row.score
        if score is None and row.done:
            if key in preferred:
                score = preferred[key]
            elif key in baselines:
                score = 0.5
            elif key in ratings:
                score = (fmean(ratings[key]) - 1) / 9
        judged.append(row.model_copy(update={"score": score}))
    return judged


def _of_one_kind(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Keep each dataset's more frequent kind of verdict, weighted or written: their scales differ."""
    counts = Counter((c.dataset, c.weighted) for c in comparisons if c.preference is not None)
    return [c for c in comparisons if c.weighted == (counts[c.dataset, True] > counts[c.dataset, False])]


def grade_table(grades: Sequence[Grade]) -> list[GradeRow]:
    """Return one entry per arm and judge, the best first."""
    groups: dict[tuple[str, str], list[Grade]] = {}
    for grade in grades:
        groups.setdefault((grade.arm, grade.judge), []).append(grade)
    table = []
    for (arm, judge), own in groups.items():
        rated = [(grade, grade.rating) for grade in own if grade.rating is not None]
        turns = range(1, max(grade.turn for grade in own) + 1)
        table.append(
            GradeRow(
                arm=arm,
                judge=judge,
                turns=tuple(_mean([rating for grade, rating in rated if grade.turn == turn]) for turn in turns),
                overall=_mean([rating for _, rating in rated]),
                skills={
                    skill: fmean(rating for grade, rating in rated if grade.skill == skill)
                    for skill in dict.fromkeys(grade.skill for grade, _ in rated if grade.skill)
                },
                unrated=len(own) - len(rated),
            )
        )
    return sorted(table, key=lambda entry: -(entry.overall or 0.0))


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
