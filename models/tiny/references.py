"""References for the training of aggregation: the trio's own proposals to training questions.

Proposals are sampled from the models after their direct training, so that a wrong reference has its proposer's typical
errors. Sets of one to eight are drawn as a layer would give them: one per model in the declared order, or any number in
any order; of a first layer, or mostly corrected as if by an earlier one.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from evaluation.scoring.exact import is_right
from models.tiny.questions import Question
from models.tiny.tasks import Task
from serving.references import Reference, References

Asked = TypeVar("Asked", Question, Task)


@dataclass(frozen=True, slots=True)
class Proposed(Generic[Asked]):
    """A question with each model's proposals: `texts[model][sample]`, models in the declared order."""

    question: Asked
    texts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ReferencePool(Generic[Asked]):
    """Questions with proposals, from which reference sets are drawn."""

    models: Sequence[str]  # in the declared order
    proposed: Sequence[Proposed[Asked]]

    def draw(self, rng: random.Random) -> tuple[Asked, References]:
        """Draw a question and 1 to 8 references to it."""
        entry = rng.choice(self.proposed)
        if rng.random() < 0.4:
            chosen = list(range(len(self.models)))  # one per model, in the declared order
        else:
            chosen = rng.choices(range(len(self.models)), k=rng.choices(range(1, 9), (2, 3, 6, 3, 2, 2, 1, 1))[0])
            if len(chosen) == 3 and rng.random() < 0.75:
                chosen = rng.sample(range(len(self.models)), 3)
        improved = rng.random() < 0.25  # of a later layer: most references are corrected
        references = []
        for model in chosen:
            text = rng.choice(entry.texts[model])
            if improved and rng.random() < 0.7:
                text = entry.question.answer
            if text.strip():
                references.append(Reference(self.models[model], text))
        if not references:
            references = [Reference(self.models[chosen[0]], entry.question.answer)]
        return entry.question, tuple(references)

    def accuracy(self) -> dict[str, float]:
        """Return each model's share of right proposals."""
        return {
            name: sum(is_right(text, entry.question.answer) for entry in self.proposed for text in entry.texts[model])
            / max(1, sum(len(entry.texts[model]) for entry in self.proposed))
            for model, name in enumerate(self.models)
        }
