"""Scores of trajectories: task rewards and losses, kept as JSONL, and the rewards that follow from them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from evaluation.client import AskFailed
from evaluation.concurrency import run_all
from evaluation.items import Item
from evaluation.store import Appender, read_rows
from serving.config import Frozen
from training.loss import BaseModel, Utterance
from training.prompts import ModelText
from training.reward import Measured, RewardSettings, format_score, is_verdict, rewards
from training.task_reward import TaskReward, Unscored
from training.trajectory import Trajectory, trajectory_key

TASKS, LOSSES = "tasks.jsonl", "losses.jsonl"


class TaskScore(Frozen):
    """Task reward of one trajectory."""

    question: str
    sample: int
    task: float | None = None  # None: see `error`
    error: str | None = None  # the next command scores it again

    @property
    def key(self) -> str:
        """Identity of the trajectory."""
        return trajectory_key(self.question, self.sample)


class LossScore(Frozen):
    """Largest loss of a trajectory's utterances under their base models, in nats per token."""

    question: str
    sample: int
    max_loss: float

    @property
    def key(self) -> str:
        """Identity of the trajectory."""
        return trajectory_key(self.question, self.sample)


class Ranked(Frozen):
    """A usable trajectory with its rewards."""

    trajectory: Trajectory
    task: float
    reward: float


def by_question(samples: Iterable[Ranked]) -> dict[str, list[Ranked]]:
    """The samples of each question, in their order."""
    groups: dict[str, list[Ranked]] = defaultdict(list)
    for one in samples:
        groups[one.trajectory.question].append(one)
    return dict(groups)


async def score_tasks(
    trajectories: Sequence[Trajectory],
    items: Mapping[str, Item],
    reward: TaskReward,
    path: Path,
    *,
    concurrency: int = 8,
    progress: Callable[[int], None] = lambda count: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> dict[str, TaskScore]:
    """Task rewards of all usable trajectories, by key; those in `path` are not computed again.

    A trajectory without one, as the judge gave none, is kept with its error and left out of the ranking.
    """
    with Appender(path) as appender:
        known = {row.key: row for row in read_rows(path, TaskScore)}
        usable = [one for one in trajectories if one.usable]
        missing = [one for one in usable if one.key not in known or known[one.key].error]
        started(len(usable), len(usable) - len(missing))

        async def work(one: Trajectory) -> None:
            row = TaskScore(question=one.question, sample=one.sample)
            try:
                task = await reward.score(items[one.question], one.text)
                row = row.model_copy(update={"task": task})
            except (Unscored, AskFailed) as error:
                row = row.model_copy(update={"error": str(error)})
            appender.append(row)
            known[row.key] = row
            progress(1)

        await run_all(missing, work, concurrency)
    return known


def score_losses(
    trajectories: Sequence[Trajectory],
    texts: Mapping[str, ModelText],
    load_base: Callable[[str], BaseModel],
    path: Path,
    *,
    progress: Callable[[int], None] = lambda count: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> dict[str, float]:
    """Largest loss of each usable trajectory, by key; those in `path` are not computed again.

    Args:
        trajectories: all of the iteration.
        texts: tokenizers of the models with a base model, by id; other models' turns have no loss.
        load_base: loads a model's weights before any training; called once per model.
        path: file that keeps the losses.
        progress: called with the number of texts whose loss was computed.
        started: called first, with the number of different texts to compute, and 0.
    """
    with Appender(path) as appender:
        known = {row.key: row.max_loss for row in read_rows(path, LossScore)}
        missing = [one for one in trajectories if one.usable and one.key not in known]
        said = {model: _utterances(missing, model, text) for model, text in texts.items()}
        started(sum(len(set(keyed.values())) for keyed in said.values()), 0)
        found: dict[str, float] = dict.fromkeys((one.key for one in missing), 0.0)
        for model, keyed in said.items():
            if not keyed:
                continue
            different = list(dict.fromkeys(keyed.values()))  # agents often say the same: "ACCEPT"
            loss_of = dict(zip(different, load_base(model).losses(different, progress=progress), strict=True))
            for (key, _), utterance in keyed.items():
                found[key] = max(found[key], loss_of[utterance])
        for one in missing:
            appender.append(LossScore(question=one.question, sample=one.sample, max_loss=found[one.key]))
    return known | found


def _utterances(trajectories: Sequence[Trajectory], model: str, text: ModelText) -> dict[tuple[str, int], Utterance]:
    """Texts of the model, by trajectory and turn, without verdicts: their words are given, and no prose."""
    return {
        (one.key, number): Utterance(
            tuple(text.opening_ids(turn.template_args)), tuple(text.answer_ids(turn.text)[:-1])
        )
        for one in trajectories
        for number, turn in enumerate(one.turns)
        if turn.model == model and not is_verdict(turn)
    }


def kept_scores(folder: Path) -> tuple[dict[str, TaskScore], dict[str, float]]:
    """Task rewards and losses of an iteration that are on disk, by key."""
    losses = {row.key: row.max_loss for row in read_rows(folder / LOSSES, LossScore)}
    return {row.key: row for row in read_rows(folder / TASKS, TaskScore)}, losses


def ranked(
    trajectories: Sequence[Trajectory],
    tasks: Mapping[str, TaskScore],
    losses: Mapping[str, float],
    settings: RewardSettings,
) -> list[Ranked]:
    """Trajectories with a task reward, and their rewards relative to the other samples of the question."""
    groups: dict[str, list[tuple[Trajectory, float]]] = defaultdict(list)
    for one in trajectories:
        row = tasks.get(one.key)
        if one.usable and row is not None and row.task is not None:
            groups[one.question].append((one, row.task))
    found = []
    for samples in groups.values():
        measured = [
            Measured(task, one.tokens or 0, losses.get(one.key), format_score(one.turns)) for one, task in samples
        ]
        for (one, task), reward in zip(samples, rewards(measured, settings), strict=True):
            found.append(Ranked(trajectory=one, task=task, reward=reward))
    return found
