"""One training example: token ids of a prompt and of a text or two, as the trainers of TRL read them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """One turn: the loss is on `completion` only."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    @property
    def row(self) -> dict[str, Any]:
        """Row of a pre-tokenized dataset for `SFTTrainer`."""
        mask = [0] * len(self.prompt) + [1] * len(self.completion)
        return {"input_ids": [*self.prompt, *self.completion], "completion_mask": mask}


@dataclass(frozen=True, slots=True)
class PairExample:
    """Two texts to one prompt."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def row(self) -> dict[str, Any]:
        """Row of a tokenized dataset for `DPOTrainer`."""
        return {
            "prompt_ids": list(self.prompt),
            "chosen_ids": list(self.chosen),
            "rejected_ids": list(self.rejected),
        }
