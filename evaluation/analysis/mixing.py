"""Self-MoA against mixed teams, on each task and over all tasks (arXiv 2502.00674)."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.analysis.accuracy import accuracy, item_scores, task, versus
from evaluation.analysis.cost import mean_tokens
from evaluation.analysis.stats import Paired, Share
from evaluation.analysis.teams import Kind, by_arm, usual_team
from evaluation.rows import Row


@dataclass(frozen=True, slots=True)
class Best:
    """The most accurate arm of a kind on a task. Chosen on the same items, so its accuracy is biased upwards."""

    arm: str
    accuracy: Share
    tokens: float | None = None  # of an answer


@dataclass(frozen=True, slots=True)
class MixingRow:
    """The best arm of each kind on one task."""

    task: str  # a task, or "all"
    single: Best | None
    self_moa: Best | None
    mixed: Best | None
    self_vs_mixed: Paired | None


def by_mixing(rows: Sequence[Row]) -> list[MixingRow]:
    """Return one entry per task and, if there are several tasks, an entry "all"."""
    kinds = {arm: usual_team(own).kind for arm, own in by_arm(rows).items()}
    answered = [row for row in rows if row.arm in kinds and item_scores([row])]
    tasks = list(dict.fromkeys(task(row) for row in answered))
    parts = [(name, [row for row in answered if task(row) == name]) for name in tasks]
    if len(parts) > 1:
        parts.append(("all", answered))
    table = []
    for name, part in parts:
        best: dict[Kind, Best] = {}
        for entry in accuracy(part):
            if entry.overall is not None:
                tokens = mean_tokens(row for row in part if row.arm == entry.arm)
                best.setdefault(kinds[entry.arm], Best(entry.arm, entry.overall, tokens))
        both = (best.get("self"), best.get("mixed"))
        against = versus(part, both[0].arm, both[1].arm) if both[0] and both[1] else None
        table.append(MixingRow(name, best.get("single"), both[0], both[1], against))
    return table
