"""A model of the trio in memory, for evaluation without a server."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models.tiny.checkpoint import PROPOSAL_TEMPERATURE
from models.tiny.decoding import MAX_TOKENS, replies
from models.tiny.families import Family, Lesson
from models.tiny.questions import Question
from serving.types import Message, Reference, References

SEED = 1


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of the trio in memory."""

    family: Family
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    def says(self, lessons: Sequence[Lesson], temperature: float = 0.0, max_tokens: int = MAX_TOKENS) -> list[str]:
        """Generate one reply per lesson."""
        return replies(
            self.model,
            self.tokenizer,
            self.family,
            lessons,
            temperature=temperature,
            seed=SEED,
            max_tokens=max_tokens,
        )


def asked(questions: Sequence[Question]) -> list[Lesson]:
    """The questions alone."""
    return [Lesson((Message("user", question.text),)) for question in questions]


def proposals(loaded_models: Sequence[LoadedModel], questions: Sequence[Question]) -> list[References]:
    """Sample each question's proposals, one per model in the declared order."""
    texts = [loaded.says(asked(questions), PROPOSAL_TEMPERATURE) for loaded in loaded_models]
    names = [loaded.family.name for loaded in loaded_models]
    return [tuple(map(Reference, names, of_question)) for of_question in zip(*texts, strict=True)]
