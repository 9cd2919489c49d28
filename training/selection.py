"""Selection of trajectories for supervised fine-tuning: the best of each question, above a threshold, and different."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from training.scoring import Ranked, by_question
from training.texts import distance
from training.trajectory import Trajectory, Turn
from training.verdicts import against_answer

ANSWERING = ("proposer", "solver")  # roles whose texts answer the question, some of them wrongly

TurnTask = Callable[[str, str], float | None]


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """Settings of the selection."""

    threshold: float = 0.5  # smallest reward
    min_task: float = 0.5  # smallest task reward: a short wrong answer may have a high reward
    best: int = 1  # trajectories of each question
    min_distance: float = 0.2  # normalized edit distance between those of one question
    keep_share: float = 0.7  # at most this share of all questions, times `best`, is kept, the best first


def selected(samples: Sequence[Ranked], settings: SelectionSettings, questions: int) -> list[Ranked]:
    """The trajectories to train on, the best first; of equal rewards, the first by question and sample.

    Args:
        samples: trajectories with a reward.
        settings: thresholds and shares.
        questions: number of all questions, of which at most `keep_share` are kept: those without a trajectory that
            could be ranked or is good enough count, as in the authors' code.
    """
    good = [one for one in samples if one.reward >= settings.threshold and one.task >= settings.min_task]
    groups = by_question(sorted(good, key=_rank)).values()
    found = sorted((one for group in groups for one in _different(group, settings)), key=_rank)
    return found[: max(round(questions * settings.best * settings.keep_share), 1)]


def _rank(one: Ranked) -> tuple[float, str, int]:
    return -one.reward, one.trajectory.question, one.trajectory.sample


def _different(group: Sequence[Ranked], settings: SelectionSettings) -> list[Ranked]:
    """The best of a question, without those that say nearly the same as a better one."""
    chosen: list[Ranked] = []
    for one in group:
        if len(chosen) == settings.best:
            break
        said = utterances(one.trajectory)
        if all(distance(said, utterances(other.trajectory)) >= settings.min_distance for other in chosen):
            chosen.append(one)
    return chosen


def utterances(trajectory: Trajectory) -> str:
    """All that the agents said, as one text."""
    return "\n".join(turn.text for turn in trajectory.turns)


def taught_turns(one: Ranked, task_of: TurnTask) -> list[Turn]:
    """Turns of a selected trajectory that its models are trained on.

    All that ended by themselves, except proposals and drafts that are worse than the answer, and verdicts against it:
    the team was right in spite of them.

    Args:
        one: the trajectory.
        task_of: task reward of an agent's own text, by question and text; `None` if it cannot be computed at once.
    """
    found, turns = [], one.trajectory.turns
    own_task = partial(task_of, one.trajectory.question)
    for turn in turns:
        own = own_task(turn.text) if turn.role in ANSWERING else None
        as_good = own is None or own >= one.task
        if turn.trainable and as_good and not against_answer(turn, turns, one.task, own_task):
            found.append(turn)
    return found
