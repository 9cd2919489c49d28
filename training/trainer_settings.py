"""Settings of the trainers."""

from dataclasses import dataclass

WEIGHTS = "weights"  # folder of the result, in that of the model
RESULT = "result.json"  # steps and mean loss, beside the weights


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """Settings of the trainers."""

    epochs: float = 1.0
    max_steps: int = -1  # instead of epochs; -1: not limited
    learning_rate: float = 2e-5
    dpo_learning_rate: float = 5e-7
    beta: float = 0.1  # of DPO
    batch_size: int = 8  # examples on one device at a time
    accumulation: int = 1  # batches per step
    max_tokens: int = 2048  # longest example
    lora_rank: int = 0  # 0: all weights are trained
    save_steps: int = 50  # steps between two checkpoints
    seed: int = 1
