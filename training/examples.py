"""Training examples: token ids of prompts and texts, as the trainers of TRL read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from training.prompts import ModelText
from training.trajectory import Turn
from training.tree import Pair


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


def examples(turns: Iterable[Turn], texts: Mapping[str, ModelText], max_tokens: int) -> dict[str, list[Example]]:
    """Examples of each model in `texts`, each once; without those longer than `max_tokens`: a cut text has no end."""
    found: dict[str, dict[Example, None]] = {model: {} for model in texts}
    for turn in turns:
        if (text := texts.get(turn.model)) is not None:
            example = Example(_prompt(turn, text), tuple(text.answer_ids(turn.text)))
            if len(example.prompt) + len(example.completion) <= max_tokens:
                found[turn.model][example] = None
    return {model: list(rows) for model, rows in found.items() if rows}


def pair_examples(
    pairs: Iterable[Pair], texts: Mapping[str, ModelText], max_tokens: int
) -> dict[str, list[PairExample]]:
    """Examples of each model in `texts`; those longer than `max_tokens` are left out."""
    found: dict[str, list[PairExample]] = {model: [] for model in texts}
    for pair in pairs:
        if (text := texts.get(pair.chosen.model)) is not None:
            chosen, rejected = (tuple(text.answer_ids(one.text)) for one in (pair.chosen, pair.rejected))
            example = PairExample(_prompt(pair.chosen, text), chosen, rejected)
            if len(example.prompt) + max(len(chosen), len(rejected)) <= max_tokens:
                found[pair.chosen.model].append(example)
    return {model: rows for model, rows in found.items() if rows}


def _prompt(turn: Turn, text: ModelText) -> tuple[int, ...]:
    return tuple(text.prompt_ids(turn.prompt, turn.template_args))
