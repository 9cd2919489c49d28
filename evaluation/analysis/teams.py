"""Teams: the models and roles behind an answer, read from its trace."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from evaluation import scoring
from evaluation.rows import AGGREGATOR, PROPOSER, AgentRow, Row

Kind = Literal["single", "self", "mixed", "other"]


@dataclass(frozen=True, slots=True)
class Team:
    """A team. `proposers`: the first layer's models, sorted, with repeats. `layers` includes the aggregator's."""

    proposers: tuple[str, ...]
    layers: int
    aggregator: str | None
    agents: int

    @property
    def kind(self) -> Kind:
        """`single`: one call; `self`: one model proposes; `mixed`: several models propose; `other`: no proposers."""
        if not self.proposers:
            return "single" if self.agents <= 1 else "other"
        return "self" if len(set(self.proposers)) == 1 else "mixed"


def first_layer(row: Row) -> tuple[AgentRow, ...]:
    """Return the proposers of the first layer, including failed ones; in a loop of tool calls, of its first request."""
    return tuple(agent for agent in _proposers(row) if agent.layer == 1)


def proposals(row: Row) -> tuple[AgentRow, ...]:
    """Return the usable proposals of the first layer."""
    return tuple(agent for agent in first_layer(row) if agent.usable)


def references(row: Row) -> tuple[AgentRow, ...]:
    """Return the usable proposals of the last proposer layer: those that the aggregator saw."""
    proposers = _proposers(row)
    last = max((agent.layer for agent in proposers), default=0)
    return tuple(agent for agent in proposers if agent.layer == last and agent.usable)


def _proposers(row: Row) -> list[AgentRow]:
    return [agent for agent in row.last_turn if agent.role == PROPOSER and agent.step == 1]


def team(row: Row) -> Team:
    """Return the team of an answer."""
    aggregators = [agent for agent in row.last_turn if agent.role == AGGREGATOR and agent.usable]
    return Team(
        proposers=tuple(sorted(agent.model for agent in first_layer(row))),
        layers=len({agent.layer for agent in row.last_turn if agent.role in (PROPOSER, AGGREGATOR)}),
        aggregator=aggregators[-1].model if aggregators else None,
        agents=len({(agent.layer, agent.agent) for agent in row.last_turn}),
    )


def usual_team(rows: Iterable[Row]) -> Team:
    """Return the most frequent team of `rows`; an adaptive recipe has several."""
    return Counter(team(row) for row in rows).most_common(1)[0][0]


def agent_score(row: Row, agent: AgentRow) -> float | None:
    """Score the agent's own text; `None` if only a judge or a run of its program could, or the scorer fails."""
    if row.scorer in (None, scoring.CODE) or row.reference is None:
        return None
    try:
        return scoring.score(row.scorer, agent.text, row.reference, row.accepted).score
    except (Exception, SystemExit):  # of a scorer of the user's own: one text must not end the analysis
        return None


def by_arm(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group the answers without an error by arm, in order of appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.done:
            groups.setdefault(row.arm, []).append(row)
    return groups
