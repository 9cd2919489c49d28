"""Evaluate the weights without a server: `python -m models.tiny.measure`, some minutes on two cores.

The held-out questions are answered greedily by each model alone, as aggregator of all three models' proposals (sampled
as in serving; both layouts, references in declared and in shuffled order), and as judge that selects a proposal. Then
the held-out tasks: tool loops, and thinking off and on.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import torch

from evaluation.scoring.exact import is_right
from evaluation.tables import Cell, Table
from models.tiny import heldout
from models.tiny.checkpoint import load
from models.tiny.families import FAMILIES, WEIGHTS, Lesson
from models.tiny.loaded import SEED, LoadedModel, asked, proposals
from models.tiny.measure_tasks import thinking_table, tool_table
from models.tiny.questions import SKILLS, Question
from serving.recipes.judging import choose, chosen
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references
from serving.types import Layout, Message, ReferenceBlock, References

Answers = Callable[[LoadedModel, Sequence[Question], Sequence[References]], list[str]]


def shuffled(proposed: Sequence[References]) -> list[References]:
    """Shuffle each question's proposals."""
    rng = random.Random(SEED)
    return [tuple(rng.sample(references, len(references))) for references in proposed]


def alone(loaded: LoadedModel, questions: Sequence[Question], _: Sequence[References]) -> list[str]:
    """Answer the questions without references."""
    return loaded.says(asked(questions))


def aggregating(layout: Layout) -> Answers:
    """Return a function that answers with the proposals as references in `layout`."""

    def answers(loaded: LoadedModel, questions: Sequence[Question], proposed: Sequence[References]) -> list[str]:
        return loaded.says(
            [
                Lesson(
                    with_references(
                        (Message("user", question.text),), ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE, layout)
                    )
                )
                for question, references in zip(questions, proposed, strict=True)
            ]
        )

    return answers


def judging(loaded: LoadedModel, questions: Sequence[Question], proposed: Sequence[References]) -> list[str]:
    """Answer with the proposal that the model selects; empty if its verdict is unreadable."""
    verdicts = loaded.says(
        [
            Lesson(choose((Message("user", question.text),), references))
            for question, references in zip(questions, proposed, strict=True)
        ]
    )
    places = [chosen(verdict, len(references)) for verdict, references in zip(verdicts, proposed, strict=True)]
    return ["" if place is None else proposed[number][place].text for number, place in enumerate(places)]


def measured(loaded_models: Sequence[LoadedModel]) -> Table:
    """Evaluate every model on every task."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="directory of the three checkpoints (default: %(default)s)"
    )
    parser.add_argument("--only", choices=("questions", "tools", "thinking"), help="one of the parts (default: all)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded_models = [LoadedModel(family, *load(options.weights / name)) for name, family in FAMILIES.items()]
    for part, tables in (("questions", measured), ("tools", tool_table), ("thinking", thinking_table)):
        if options.only in (None, part):
            print(tables(loaded_models).markdown(), flush=True)


if __name__ == "__main__":
    main()
