"""Judges' verdicts as scores, and mean ratings as in MT-Bench."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from evaluation.criteria import CRITERIA
from evaluation.judging.verdicts import Comparison, Grade
from evaluation.rows import Row
from evaluation.verdict_choice import Source, VerdictChoice, source_of, sources


@dataclass(frozen=True, slots=True)
class GradeRow:
    """Mean ratings of an arm, from 1 to the scale of its grades."""

    arm: str
    judge: str
    turns: tuple[float | None, ...]  # one per turn
    overall: float | None  # over all turns, as in MT-Bench
    skills: dict[str, float]
    criteria: dict[str, float]  # over the answers to which a criterion applies, as in FLASK
    unrated: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Rows with scores, and the source of each dataset's scores."""

    rows: tuple[Row, ...]
    measures: dict[str, Source | None]  # by scored dataset: the source of its verdicts; None: a scorer
    doubts: tuple[str, ...]  # a sentence for each dataset without usable scores


def with_verdicts(
    rows: Sequence[Row],
    comparisons: Sequence[Comparison],
    grades: Sequence[Grade],
    choice: VerdictChoice | None = None,
) -> Scores:
    """Give each row without a scorer the score of its verdicts.

    The score is the preference over the baseline, or the mean rating of all turns scaled to [0, 1]. The baseline's own
    answers have none. A dataset's verdicts must be of one judge, one baseline and one kind, since their scales differ:
    of several, `choice` selects one, and without a choice the dataset has no scores.
    """
    choice = choice or VerdictChoice()
    verdicts: list[Comparison | Grade] = [*comparisons, *grades]
    scores: dict[tuple[str, str, str, int], float] = {}
    measures: dict[str, Source | None] = {}
    doubts = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        own = [row for row in rows if row.dataset == dataset and row.done]
        if any(row.score is not None for row in own):
            measures[dataset] = None
        elif own:
            found = sources(dataset, verdicts, choice)
            of_source = _scores(own, verdicts, found[0]) if len(found) == 1 else {}
            scores |= of_source
            if of_source:
                measures[dataset] = found[0]
            else:
                doubts.append(_doubt(dataset, found, sources(dataset, verdicts, VerdictChoice())))
    judged = [
        row.model_copy(update={"score": scores.get(_key(row))}) if row.score is None and row.done else row
        for row in rows
    ]
    return Scores(tuple(judged), measures, tuple(doubts))


def _key(verdict: Row | Comparison | Grade) -> tuple[str, str, str, int]:
    return (verdict.arm, verdict.dataset, verdict.item, verdict.sample)


def _scores(
    rows: Sequence[Row], verdicts: Sequence[Comparison | Grade], source: Source
) -> dict[tuple[str, str, str, int], float]:
    turns = {_key(row): len(row.answers) for row in rows}
    ratings: dict[tuple[str, str, str, int], list[float]] = {}
    scores: dict[tuple[str, str, str, int], float] = {}
    for verdict in verdicts:
        if source_of(verdict) != source or _key(verdict) not in turns:
            continue
        if isinstance(verdict, Comparison):
            if verdict.preference is not None:
                scores[_key(verdict)] = verdict.preference
        elif verdict.rating is not None:
            ratings.setdefault(_key(verdict), []).append(verdict.rating)
    return scores | {
        key: (fmean(found) - 1) / (source.scale - 1) for key, found in ratings.items() if len(found) == turns[key]
    }


def _doubt(dataset: str, allowed: Sequence[Source], every: Sequence[Source]) -> str:
    if len(allowed) > 1:
        several = "; ".join(str(source) for source in allowed)
        return f"'{dataset}' has verdicts that cannot be mixed: {several}. Choose with --judge, --baseline, --verdicts."
    if allowed:
        return f"No verdict on '{dataset}' can be read: {allowed[0]}. Name another judge."
    if every:
        several = "; ".join(str(source) for source in every)
        return f"'{dataset}' has no verdicts of the chosen kind; it has {several}."
    return (
        f"'{dataset}' has no scores: have its answers judged with 'python -m evaluation judge', or leave it out with"
        " --datasets."
    )


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
                criteria={
                    name: fmean(grade.ratings[name] for grade in own if name in grade.ratings)
                    for name in CRITERIA
                    if any(name in grade.ratings for grade in own)
                },
                unrated=len(own) - len(rated),
            )
        )
    return sorted(table, key=lambda entry: -(entry.overall or 0.0))


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
