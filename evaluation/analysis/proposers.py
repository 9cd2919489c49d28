"""Accuracy by number of proposers: several models, or one model sampled (arXiv 2406.04692)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evaluation.analysis.accuracy import item_scores
from evaluation.analysis.cost import mean_tokens
from evaluation.analysis.stats import Share, share
from evaluation.analysis.teams import by_arm, usual_team
from evaluation.rows import Row


@dataclass(frozen=True, slots=True)
class ProposerPoint:
    """Accuracy of one aggregator with a number of proposers."""

    aggregator: str
    setting: Literal["several models", "one model"]
    proposers: int
    accuracy: Share  # over all arms of this setting
    arms: tuple[str, ...]
    tokens: float | None = None  # of an answer


def by_proposers(rows: Sequence[Row]) -> list[ProposerPoint]:
    """Group the arms with one proposer layer and an aggregator by aggregator, setting and number of proposers.

    An arm with one proposer belongs to both settings. Arms of the same point, for example different subsets of the
    models, are pooled.
    """
    groups: dict[tuple[str, Literal["several models", "one model"], int], list[Row]] = {}
    for arm, answered in by_arm(rows).items():
        team, own = usual_team(answered), [row for row in rows if row.arm == arm]
        if team.aggregator is None or team.layers != 2 or not team.proposers:
            continue
        count = len(team.proposers)
        if team.kind == "mixed" or count == 1:
            groups.setdefault((team.aggregator, "several models", count), []).extend(own)
        if team.kind == "self":
            groups.setdefault((team.aggregator, "one model", count), []).extend(own)
    points = []
    for (aggregator, setting, count), pooled in sorted(groups.items()):
        arms = tuple(dict.fromkeys(row.arm for row in pooled))
        scores = {
            (arm, item): values
            for arm in arms
            for item, values in item_scores([row for row in pooled if row.arm == arm]).items()
        }
        if (found := share(scores)) is not None:
            points.append(ProposerPoint(aggregator, setting, count, found, arms, mean_tokens(pooled)))
    return points
