"""Scores that are kept, and the rewards that follow from them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evaluation.items import Item
from tests.support.training import text_of
from training.loss import BaseModel, Utterance
from training.reward import RewardSettings
from training.scoring import TASKS, TaskScore, kept_scores, ranked, score_losses, score_tasks
from training.task_reward import TaskReward
from training.trajectory import Trajectory, Turn

ITEMS = {"q": Item("d", "q", "s", ("What?",), "4", "exact")}
TEXTS = {"tiny-qwen": text_of("tiny-qwen")}


def trajectory(sample: int, text: str, tokens: int, *said: str, **fields: object) -> Trajectory:
    turns = [
        Turn(layer=n, agent=0, role="solver", model="tiny-qwen", prompt=(), text=one) for n, one in enumerate(said, 1)
    ]
    return Trajectory(question="q", sample=sample, text=text, tokens=tokens, turns=turns, **fields)  # type: ignore[arg-type]


FOUND = [
    trajectory(0, "4", 10, "1", "4"),
    trajectory(1, "5", 20, "5"),
    trajectory(2, "", 0, error="429: Later."),
    trajectory(3, "4", 5, unusable="it was cut"),
]


class FakeBase(BaseModel):
    """A base model whose loss is the number of the text's tokens."""

    def __init__(self) -> None:
        """Load nothing."""

    def losses(
        self,
        utterances: Sequence[Utterance],
        *,
        batch_size: int = 16,
        progress: Callable[[int], None] = lambda count: None,
    ) -> list[float]:
        assert all(one.before for one in utterances)
        progress(len(utterances))
        return [float(len(one.text)) for one in utterances]


async def test_task_rewards_are_kept_and_failed_ones_computed_again(tmp_path: Path) -> None:
    path, verdicts = tmp_path / TASKS, ["no idea", "6", "8"]

    async def judge(prompt: str) -> str:
        return verdicts.pop(0)

    reward = TaskReward("judge", judge)
    first = await score_tasks(FOUND, ITEMS, reward, path, concurrency=1)
    assert [(row.task, row.error) for row in first.values()] == [
        (None, "the judge gave no grade from 0 to 10: 'no idea'"),
        (0.6, None),
    ]
    assert [one.trajectory.sample for one in ranked(FOUND, first, {}, RewardSettings(lambda_loss=0))] == [1]
    again = await score_tasks(FOUND, ITEMS, reward, path, concurrency=1)
    assert sorted(row.task or 0 for row in again.values()) == [0.6, 0.8]
    assert not verdicts
    assert kept_scores(tmp_path)[0] == again


def test_losses_are_the_largest_of_a_trajectory_and_kept(tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(model: str) -> FakeBase:
        loaded.append(model)
        return FakeBase()

    found = [trajectory(0, "4", 3, "one", "a longer text here", "one"), trajectory(1, "5", 1, "5", "5"), *FOUND[2:]]
    path, totals, counts = tmp_path / "losses.jsonl", list[int](), list[int]()
    losses = score_losses(
        found, TEXTS, load, path, progress=counts.append, started=lambda total, kept: totals.append(total)
    )
    assert (totals, counts) == ([3], [3])  # equal texts are computed once
    longest = len(TEXTS["tiny-qwen"].answer_ids("a longer text here")) - 1
    assert losses == {found[0].key: longest, found[1].key: 1.0}
    assert score_losses(found, TEXTS, load, path) == losses
    assert loaded == ["tiny-qwen"]
    assert kept_scores(tmp_path)[1] == losses


def test_a_verdict_has_no_loss(tmp_path: Path) -> None:
    """It is unlikely without its prompt: an objection, which is prose, would have a better reward."""
    found = trajectory(0, "4", 2, "4")
    critic = found.turns[0].model_copy(update={"role": "critic", "text": "Accept."})
    found = found.model_copy(update={"turns": (*found.turns, critic)})
    assert len(TEXTS["tiny-qwen"].answer_ids("Accept.")) > len(TEXTS["tiny-qwen"].answer_ids("4"))
    losses = score_losses([found], TEXTS, lambda model: FakeBase(), tmp_path / "losses.jsonl")
    assert losses == {found.key: len(TEXTS["tiny-qwen"].answer_ids("4")) - 1}


def test_rewards_are_relative_to_the_samples_of_the_question() -> None:
    tasks = {one.key: TaskScore(question="q", sample=one.sample, task=float(one.text == "4")) for one in FOUND}
    found = ranked(FOUND, tasks, {FOUND[0].key: 2.0, FOUND[1].key: 0.1}, RewardSettings())
    rewards = {one.trajectory.sample: one.reward for one in found}
    assert rewards == pytest.approx({0: 1 - 0.6 * 10 / 20 + 1 / 2, 1: 0 - 0.6 + 1})
