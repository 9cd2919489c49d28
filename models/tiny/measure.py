"""Evaluate the weights without a server: `python -m models.tiny.measure`, some minutes on two cores.

The held-out questions are answered greedily by each model alone, as aggregator of all three models' proposals (sampled
as in serving; both layouts, references in declared and in shuffled order), and as judge that selects a proposal.
Functions import torch and transformers, which take seconds, so that `--help` does not.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from evaluation.scoring.exact import is_right
from evaluation.tables import Cell, Table
from models.tiny import heldout
from models.tiny.conversations import Conversation
from models.tiny.families import FAMILIES, WEIGHTS, Family, Lesson
from models.tiny.questions import SKILLS, Question
from serving.command_line import CommandLine
from serving.conversation import Message
from serving.recipes.judging import choose, chosen
from serving.references import Layout, Reference, ReferenceBlock, References
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SEED = 1
Answers = Callable[["LoadedModel", Sequence[Question], Sequence[References]], list[str]]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of the trio in memory."""

    family: Family
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"

    def says(self, conversations: Sequence[Conversation], temperature: float = 0.0) -> list[str]:
        """Generate one reply per conversation."""
        from models.tiny.decoding import replies

        lessons = list(map(Lesson, conversations))
        return replies(self.model, self.tokenizer, self.family, lessons, temperature=temperature, seed=SEED)


def proposals(loaded_models: Sequence[LoadedModel], questions: Sequence[Question]) -> list[References]:
    """Sample each question's proposals, one per model in the declared order."""
    from models.tiny.checkpoint import PROPOSAL_TEMPERATURE

    asked = [(Message("user", question.text),) for question in questions]
    texts = [loaded.says(asked, PROPOSAL_TEMPERATURE) for loaded in loaded_models]
    names = [loaded.family.name for loaded in loaded_models]
    return [tuple(map(Reference, names, of_question)) for of_question in zip(*texts, strict=True)]


def shuffled(proposed: Sequence[References]) -> list[References]:
    """Shuffle each question's proposals."""
    rng = random.Random(SEED)
    return [tuple(rng.sample(references, len(references))) for references in proposed]


def alone(loaded: LoadedModel, questions: Sequence[Question], _: Sequence[References]) -> list[str]:
    """Answer the questions without references."""
    return loaded.says([(Message("user", question.text),) for question in questions])


def aggregating(layout: Layout) -> Answers:
    """Return a function that answers with the proposals as references in `layout`."""

    def answers(loaded: LoadedModel, questions: Sequence[Question], proposed: Sequence[References]) -> list[str]:
        return loaded.says(
            [
                with_references(
                    (Message("user", question.text),), ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE, layout)
                )
                for question, references in zip(questions, proposed, strict=True)
            ]
        )

    return answers


def judging(loaded: LoadedModel, questions: Sequence[Question], proposed: Sequence[References]) -> list[str]:
    """Answer with the proposal that the model selects; empty if its verdict is unreadable."""
    verdicts = loaded.says(
        [
            choose((Message("user", question.text),), references)
            for question, references in zip(questions, proposed, strict=True)
        ]
    )
    places = [chosen(verdict, len(references)) for verdict, references in zip(verdicts, proposed, strict=True)]
    return ["" if place is None else proposed[number][place].text for number, place in enumerate(places)]


def measured(folder: Path) -> Table:
    """Evaluate every model in `folder` on every task."""
    from models.tiny.checkpoint import load

    loaded_models = [LoadedModel(family, *load(folder / name)) for name, family in FAMILIES.items()]
    questions = [row.question for row in heldout.rows()]
    declared = proposals(loaded_models, questions)
    orders = {"declared": declared, "shuffled": shuffled(declared)}
    tasks: list[tuple[str, Answers, Sequence[References]]] = [("alone", alone, declared)]
    for layout in get_args(Layout):
        tasks += [(f"{layout}, {order}", aggregating(layout), given) for order, given in orders.items()]
    tasks += [(f"judge, {order}", judging, given) for order, given in orders.items()]
    rows = []
    for task, answer, given in tasks:
        for loaded in loaded_models:
            right = [is_right(a, q.answer) for a, q in zip(answer(loaded, questions, given), questions, strict=True)]
            by_skill = [
                [hit for hit, question in zip(right, questions, strict=True) if question.skill == skill]
                for skill in SKILLS
            ]
            shares = [Cell(f"{100 * sum(hits) / len(hits):.1f}") for hits in (*by_skill, right)]
            rows.append((Cell(task), Cell(f"`{loaded.family.name}`"), *shares))
    return Table("Right answers, %", ("task", "model", *SKILLS, "all"), tuple(rows))


def main() -> None:
    """Print the table."""
    parser = CommandLine(prog="python -m models.tiny.measure", description=__doc__)
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="directory of the three checkpoints (default: %(default)s)"
    )
    weights = parser.parse_args().weights
    import torch

    torch.set_num_threads(2)
    print(measured(weights).markdown())


if __name__ == "__main__":
    main()
