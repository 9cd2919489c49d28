"""Course of a debate's answers: the first answer, the critic's verdict on it, and what the revision changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from evaluation.analysis.cost import mean_of_known
from evaluation.analysis.teams import agent_score
from evaluation.rows import Row
from evaluation.scoring import RIGHT
from serving.recipes.judging import accepts

SOLVER, CRITIC = "solver", "critic"


@dataclass(frozen=True, slots=True)
class DebateFlow:
    """Shares of a debate's scored answers, in [0, 1], and mean tokens."""

    answers: int
    first_right: float
    accepted: float  # the critic accepts the first answer
    spoiled: float  # right at first, wrong in the end
    mended: float  # wrong at first, right in the end
    first_tokens: float | None  # of the first answer; None: unknown
    verdict_tokens: float | None  # of the critic's first verdict


def debate_flow(rows: Sequence[Row]) -> DebateFlow | None:
    """Course of the answers whose trace has a solver, which can be scored, and its critic; `None` if there are none."""
    courses = [course for row in rows if (course := _course(row)) is not None]
    if not courses:
        return None
    rights = [(first, last) for first, _, last, _ in courses]
    counts = [tokens for *_, tokens in courses]
    return DebateFlow(
        answers=len(courses),
        first_right=fmean(first for first, _ in rights),
        accepted=fmean(accepted for _, accepted, _, _ in courses),
        spoiled=fmean(first and not last for first, last in rights),
        mended=fmean(last and not first for first, last in rights),
        first_tokens=mean_of_known([first for first, _ in counts]),
        verdict_tokens=mean_of_known([verdict for _, verdict in counts]),
    )


def _course(row: Row) -> tuple[bool, bool, bool, tuple[int | None, int | None]] | None:
    """First answer right, accepted, final answer right, and the tokens of first answer and verdict."""
    if not row.done or row.score is None:
        return None
    agents = sorted(row.last_turn, key=lambda agent: (agent.layer, agent.agent))
    solver = next((agent for agent in agents if agent.role == SOLVER and agent.usable), None)
    critic = next((agent for agent in agents if agent.role == CRITIC and agent.usable), None)
    if solver is None or critic is None or (first := agent_score(row, solver)) is None:
        return None
    return (
        first >= RIGHT,
        accepts(critic.text),
        row.score >= RIGHT,
        (solver.completion_tokens, critic.completion_tokens),
    )
