"""All settings of a run."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from evaluation.sandbox import SandboxLimits
from training.generation import GenerationSettings
from training.job import Method
from training.reward import RewardSettings
from training.selection import SelectionSettings
from training.task_reward import TaskKind
from training.trainer_settings import TrainerSettings
from training.tree import PairSettings

Paradigm = Literal["isft", "idpo", "hybrid"]
Start = Literal["previous", "initial"]


@dataclass(frozen=True, slots=True)
class OptimaSettings:
    """Settings of `python -m training optima`."""

    recipe: str
    dataset: str
    profile: str
    out: Path
    method: Paradigm = "isft"
    iterations: int = 3
    start: Start = "previous"  # weights that each iteration trains: of the iteration before, or the untrained ones
    limit: int | None = None  # questions of each iteration; None: all
    formats: bool = True  # varied communication formats in the first iteration
    branches: int = 4  # further samples of each question from the search tree, in iterations with DPO
    task_reward: TaskKind = "dataset"
    judge: str | None = None  # served model; of the task reward "judge"
    programs: SandboxLimits | None = None  # of programs in answers, for the scorer `code`; None: they are refused
    models: tuple[str, ...] = ()  # models to train; empty: all of the recipe
    ray_workers: int = 0  # workers of Ray Train; 0: in this process
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    reward: RewardSettings = field(default_factory=RewardSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)

    def method_of(self, number: int) -> Method:
        """Training of an iteration, from 1.

        `idpo` begins with supervised fine-tuning if its first iteration has varied formats, as in the paper: there is
        no agent yet that writes so by itself. `hybrid` alternates, beginning with supervised fine-tuning.
        """
        if self.method == "isft":
            return "sft"
        if self.method == "hybrid":
            return "sft" if number % 2 else "dpo"
        return "sft" if number == 1 and self.formats else "dpo"

    def kept(self, dataset_sha256: str) -> dict[str, Any]:
        """Settings that must be equal when a run is resumed: all but its length, and how fast it goes."""
        values = asdict(self)
        for name in ("out", "iterations", "ray_workers", "dataset"):
            del values[name]
        for name in ("concurrency", "max_failures"):
            del values["generation"][name]
        del values["trainer"]["save_steps"]
        return {**values, "dataset_sha256": dataset_sha256}
