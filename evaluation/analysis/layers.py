"""Accuracy by layer: that of each model's own text in each layer (arXiv 2406.04692)."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.analysis.stats import Share, share
from evaluation.analysis.teams import agent_score, by_arm
from evaluation.rows import AGGREGATOR, PROPOSER, Row


@dataclass(frozen=True, slots=True)
class LayerCell:
    """Accuracy of one model's texts in one layer and role of an arm."""

    arm: str
    layer: int  # from 1
    role: str
    model: str
    accuracy: Share


def by_layer(rows: Sequence[Row]) -> list[LayerCell]:
    """Return the accuracy of proposers and aggregators of every arm with a trace, first layer first."""
    cells = []
    for arm, own in by_arm(rows).items():
        groups: dict[tuple[int, str, str], dict[object, list[float]]] = {}
        for row in own:
            for agent in row.last_turn:
                if agent.role not in (PROPOSER, AGGREGATOR) or not agent.usable:
                    continue
                if (score := agent_score(row, agent)) is not None:
                    group = groups.setdefault((agent.layer, agent.role, agent.model), {})
                    group.setdefault((row.dataset, row.item), []).append(score)
        for (layer, role, model), scores in sorted(groups.items()):
            if (found := share(scores)) is not None:
                cells.append(LayerCell(arm, layer, role, model, found))
    return cells
