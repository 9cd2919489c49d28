"""Accuracy of each model alone, as proposer and as aggregator (arXiv 2406.04692)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.analysis.accuracy import item_scores
from evaluation.analysis.layers import by_layer
from evaluation.analysis.stats import Share, share
from evaluation.analysis.teams import Team, by_arm, usual_team
from evaluation.rows import PROPOSER, Row


@dataclass(frozen=True, slots=True)
class RoleRow:
    """Accuracy of one model in each role; `None` if no arm has it in the role."""

    model: str
    alone: Share | None  # the model without a team
    proposal: Share | None  # its own texts in the first layer of a mixed team
    sole_proposer: Share | None  # final answers if it is the only proposer and another model aggregates
    aggregator: Share | None  # final answers if it aggregates the mixed team with the most aggregators


def by_role(rows: Sequence[Row]) -> list[RoleRow]:
    """Return one entry per model of any trace or single-model arm."""
    arms = by_arm(rows)
    teams = {arm: usual_team(own) for arm, own in arms.items()}
    final = {arm: share(item_scores([row for row in rows if row.arm == arm])) for arm in arms}
    compared = _most_compared(teams)
    models = dict.fromkeys(
        [own[0].model for arm, own in arms.items() if teams[arm].kind == "single"]
        + [model for team in teams.values() for model in (*team.proposers, team.aggregator) if model is not None]
    )
    cells = [
        cell for cell in by_layer(rows) if cell.layer == 1 and cell.role == PROPOSER and teams[cell.arm].kind == "mixed"
    ]
    table = []
    for model in models:
        own_cells = [cell.accuracy for cell in cells if cell.model == model]
        table.append(
            RoleRow(
                model=model,
                alone=_first(final, [arm for arm, own in arms.items() if own[0].arm == own[0].model == model]),
                proposal=max(own_cells, key=lambda part: part.n, default=None),
                sole_proposer=_first(
                    final,
                    [
                        arm
                        for arm, team in teams.items()
                        if set(team.proposers) == {model} and team.aggregator not in (None, model)
                    ],
                ),
                aggregator=_first(
                    final,
                    [arm for arm in compared if teams[arm].aggregator == model],
                ),
            )
        )
    return table


def _most_compared(teams: Mapping[str, Team]) -> list[str]:
    """Return the arms of the mixed team that has the most different aggregators."""
    groups: dict[tuple[tuple[str, ...], int], list[str]] = {}
    for arm, team in teams.items():
        if team.kind == "mixed" and team.aggregator is not None:
            groups.setdefault((team.proposers, team.layers), []).append(arm)
    return max(groups.values(), key=lambda arms: len({teams[arm].aggregator for arm in arms}), default=[])


def _first(shares: Mapping[str, Share | None], arms: Sequence[str]) -> Share | None:
    return next((shares[arm] for arm in arms if shares[arm] is not None), None)
