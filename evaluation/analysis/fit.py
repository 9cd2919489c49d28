"""Effect of proposal quality and diversity on accuracy: the fit t = a*q + b*d + c (arXiv 2502.00674).

A point is one team on one task: t is the accuracy of its final answers, q the mean accuracy of its proposals, d their
mean Vendi score. The fit is ordinary least squares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from evaluation.analysis.accuracy import task
from evaluation.analysis.diversity import diversities
from evaluation.analysis.teams import agent_score, by_arm, proposals
from evaluation.rows import Row

MIN_TEAMS = 4  # three weights fit three points exactly


@dataclass(frozen=True, slots=True)
class TeamPoint:
    """One team on one task; quality is q, diversity d, accuracy t."""

    arm: str
    task: str
    quality: float
    diversity: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Plane:
    """A fitted plane. `a_sd`, `b_sd`: change of t per standard deviation of q and d, comparable with each other."""

    task: str
    a: float
    b: float
    c: float
    a_sd: float
    b_sd: float
    r2: float
    points: tuple[TeamPoint, ...]


def team_points(rows: Sequence[Row]) -> list[TeamPoint]:
    """Return a point per task and team of two or more proposers; with several tasks also for "all" together."""
    scored = [row for row in rows if row.done and row.score is not None]
    spreads = diversities(scored)
    names = list(dict.fromkeys(task(row) for row in scored))
    points = []
    for name in [*names, "all"] if len(names) > 1 else names:
        part = [row for row in scored if name in ("all", task(row))]
        for arm, own in by_arm(part).items():
            known = [(row, spreads[row.key]) for row in own if row.key in spreads]
            qualities = [
                score for row, _ in known for agent in proposals(row) if (score := agent_score(row, agent)) is not None
            ]
            if known and qualities:
                finals = [row.score for row, _ in known if row.score is not None]
                spread = fmean(found for _, found in known)
                points.append(TeamPoint(arm, name, fmean(qualities), spread, fmean(finals)))
    return points


def plane(name: str, points: Sequence[TeamPoint]) -> Plane | None:
    """Fit a plane; `None` with fewer than `MIN_TEAMS` teams, or if q and d do not vary independently."""
    if len(points) < MIN_TEAMS:
        return None
    q = np.array([point.quality for point in points])
    d = np.array([point.diversity for point in points])
    t = np.array([point.accuracy for point in points])
    design = np.column_stack([q, d, np.ones_like(q)])
    (a, b, c), _, rank, _ = np.linalg.lstsq(design, t, rcond=None)
    total = float(((t - t.mean()) ** 2).sum())
    if rank < 3 or total == 0.0:
        return None
    residual = float(((t - design @ np.array([a, b, c])) ** 2).sum())
    return Plane(
        name, float(a), float(b), float(c), float(a * q.std()), float(b * d.std()), 1 - residual / total, tuple(points)
    )


def planes(rows: Sequence[Row]) -> list[Plane]:
    """Fit a plane for each task with enough different teams."""
    points = team_points(rows)
    fitted = [
        plane(name, [point for point in points if point.task == name])
        for name in dict.fromkeys(point.task for point in points)
    ]
    return [found for found in fitted if found is not None]
