"""Items: the questions of a dataset."""

from dataclasses import dataclass

from evaluation.tools.toolbox import Toolbox


@dataclass(frozen=True, slots=True)
class Item:
    """One question, or a conversation of several user turns.

    `scorer` compares an arm's answer with `answer`; both are `None` for open questions, which need a judge.
    """

    dataset: str
    id: str
    skill: str  # the part of the dataset: a subject, a category, a level
    turns: tuple[str, ...]  # the user's messages, one per turn
    answer: str | None = None
    scorer: str | None = None  # a name of evaluation.scoring.SCORERS, or "module:Class"
    references: tuple[str, ...] = ()  # a right answer per turn, shown to the judge
    baseline: str | None = None  # the answer of the dataset's own baseline model
    difficulty: float | None = None  # the instruction's difficulty, if the dataset has it
    tools: Toolbox | None = None  # tools that the arm may call
    accepted: tuple[str, ...] = ()  # further right answers beside `answer`
    criteria: tuple[str, ...] = ()  # names of evaluation.criteria.CRITERIA that a judge rates; none: a whole rating
