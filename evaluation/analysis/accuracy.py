"""Accuracy of each arm, by task and over all items, and one arm against another."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.analysis.stats import Paired, Share, paired, share
from evaluation.rows import Row


@dataclass(frozen=True, slots=True)
class ArmAccuracy:
    """Accuracy of one arm, with its failed and degraded answers."""

    arm: str
    overall: Share | None  # over all items, a failed answer being wrong; None: no scored answer
    tasks: dict[str, Share]  # by task, in order of appearance
    macro: float | None  # unweighted mean over the tasks
    failed: int  # answers that ended in an error
    degraded: int  # answers whose recipe lost agents


def task(row: Row) -> str:
    """Return the row's task: `dataset/skill` if it has a skill, otherwise the dataset."""
    return f"{row.dataset}/{row.skill}" if row.skill else row.dataset


def item_scores(rows: Sequence[Row]) -> dict[object, list[float]]:
    """Group the scores by item, one score per sample. A failed answer to an item with a scorer is wrong."""
    scores: dict[object, list[float]] = {}
    for row in rows:
        score = row.score if row.done else None if row.scorer is None else 0.0
        if score is not None:
            scores.setdefault((row.dataset, row.item), []).append(score)
    return scores


def right_share(rows: Sequence[Row]) -> Share | None:
    """Return the share of right answers, a failed one being wrong; `None` without a scored answer."""
    return share(item_scores(rows))


def item_means(rows: Sequence[Row]) -> dict[object, float]:
    """Return the mean score of each item over its samples."""
    return {item: sum(scores) / len(scores) for item, scores in item_scores(rows).items()}


def accuracy(rows: Sequence[Row]) -> list[ArmAccuracy]:
    """Return one entry per arm, the most accurate first."""
    tables = []
    for arm in dict.fromkeys(row.arm for row in rows):
        own = [row for row in rows if row.arm == arm]
        tasks: dict[str, Share] = {}
        for name in dict.fromkeys(task(row) for row in own):
            if (of_task := share(item_scores([row for row in own if task(row) == name]))) is not None:
                tasks[name] = of_task
        tables.append(
            ArmAccuracy(
                arm=arm,
                overall=share(item_scores(own)),
                tasks=tasks,
                macro=sum(part.value for part in tasks.values()) / len(tasks) if tasks else None,
                failed=sum(not row.done for row in own),
                degraded=sum(row.degraded for row in own if row.done),
            )
        )
    return sorted(tables, key=lambda entry: -(entry.overall.value if entry.overall else -1.0))


def versus(rows: Sequence[Row], left: str, right: str) -> Paired | None:
    """Compare `left` with `right` on the items that both answered."""
    means = [item_means([row for row in rows if row.arm == arm]) for arm in (left, right)]
    return paired(left, right, *means)
