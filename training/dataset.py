"""Training questions. The trio's held-out questions are never among them."""

from collections.abc import Sequence
from functools import cache

from evaluation.datasets.loading import NAMED, Dataset, load
from evaluation.errors import EvaluationError
from evaluation.items import Item
from evaluation.scoring import CODE
from evaluation.scoring.exact import normalized
from training.errors import TrainingError

MAKE = "python -m models.tiny.training_set --out questions.jsonl"


@cache
def held_out_questions() -> frozenset[str]:
    """Normalized questions of the datasets that ship with the repository: they measure, they do not train."""
    return frozenset(normalized(turn) for name in NAMED for item in load(name).items for turn in item.turns)


def load_questions(spec: str, limit: int | None, task_reward: str) -> Dataset:
    """Load the training questions of a dataset, given as in `python -m evaluation run --dataset`.

    Args:
        spec: a path, or KIND=PATH.
        limit: so many questions, spread evenly over the file; None: all.
        task_reward: of the run; all but "judge" need a right answer for each question, and "code" one that is a
            program.

    Raises:
        TrainingError: it cannot be read, holds a held-out question, conversations of several turns, tools, or
            questions without a right answer, or with one that `task_reward` cannot use.
    """
    if spec in NAMED:
        raise TrainingError(
            f"The dataset '{spec}' is held out: it measures the models. Make training questions: {MAKE}"
        )
    try:
        dataset = load(spec, limit)
    except EvaluationError as error:
        raise TrainingError(str(error)) from None
    _check(dataset.items, spec, task_reward)
    return dataset


def _check(items: Sequence[Item], spec: str, task_reward: str) -> None:
    for item in items:
        if len(item.turns) != 1:
            raise TrainingError(f"'{spec}': '{item.id}' has {len(item.turns)} user turns; give questions of one turn.")
        if item.tools is not None:
            raise TrainingError(f"'{spec}': '{item.id}' has tools; give questions without tools.")
        if normalized(item.turns[0]) in held_out_questions():
            raise TrainingError(
                f"'{spec}': '{item.id}' is a held-out question, which measures the models; remove it, or make training"
                f" questions: {MAKE}"
            )
        if task_reward != "judge" and item.answer is None:
            raise TrainingError(f"'{spec}': '{item.id}' has no right answer; set --task-reward judge.")
        if task_reward == "dataset" and item.scorer is None:
            raise TrainingError(f"'{spec}': '{item.id}' has no scorer; choose a --task-reward.")
        if task_reward == CODE != item.scorer:
            raise TrainingError(
                f"'{spec}': '{item.id}' has no tests that could run with an answer's code; give questions with the"
                f" scorer '{CODE}' (kinds humaneval, mbpp), or choose another --task-reward."
            )
        if item.scorer == CODE and task_reward not in ("dataset", CODE, "judge"):
            raise TrainingError(
                f"'{spec}': the right answer of '{item.id}' is a program, which the task reward '{task_reward}' cannot"
                " use; set --task-reward code."
            )
