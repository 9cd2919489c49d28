"""The held-out questions: 300, a hundred per skill, that never occur in training.

`python -m models.tiny.heldout` recreates `heldout.jsonl` from its seed.
"""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from models.tiny.questions import SKILLS, HeldOut, Question, QuestionMaker, Skill, SkillRange, dictionary, facts
from serving.command_line import CommandLine

SEED = 20260
QUESTIONS_PER_SKILL = 100
WORD_LETTERS = range(4, 9)
SKILL_RANGE = SkillRange(digits=(1.0, 1.0, 1.0), max_letters=8)


@dataclass(frozen=True, slots=True)
class Row:
    """One held-out question."""

    id: str
    question: Question


@cache
def rows() -> tuple[Row, ...]:
    """Load the committed questions."""
    lines = resources.files("models.tiny").joinpath("heldout.jsonl").read_text("utf-8").splitlines()
    return tuple(
        Row(row["id"], Question(row["skill"], row["question"], row["answer"])) for row in map(json.loads, lines)
    )


def held_out() -> HeldOut:
    """Return the operands, words and questions that training must exclude."""
    return HeldOut.of(row.question for row in rows())


def made() -> tuple[Row, ...]:
    """Generate the questions from their seed; operand pairs, words and facts are distinct."""
    rng = random.Random(SEED)
    asked: dict[Skill, list[Question]] = {
        "arithmetic": _arithmetic(rng),
        "words": _words(rng),
        "facts": [QuestionMaker(rng).fact(fact) for fact in rng.sample(facts(), QUESTIONS_PER_SKILL)],
    }
    return tuple(
        Row(f"{skill}-{number:03}", question)
        for skill in SKILLS
        for number, question in enumerate(asked[skill], start=1)
    )


def _arithmetic(rng: random.Random) -> list[Question]:
    """Generate sums with operands of one to three digits; never two of one digit, since there are too few of these."""
    maker = QuestionMaker(rng, SKILL_RANGE)
    questions: list[Question] = []
    pairs: set[tuple[int, int]] = set()
    while len(questions) < QUESTIONS_PER_SKILL:
        question = maker.arithmetic()
        (pair,) = HeldOut.of([question]).pairs
        if pair not in pairs and pair[1] > 9:
            pairs.add(pair)
            questions.append(question)
    return questions


def _words(rng: random.Random) -> list[Question]:
    """Generate questions about dictionary words, equally many per length."""
    maker = QuestionMaker(rng)
    questions: list[Question] = []
    for letters in WORD_LETTERS:
        fitting = [word for word in dictionary() if len(word) == letters and word != word[::-1]]
        for word in rng.sample(fitting, QUESTIONS_PER_SKILL // len(WORD_LETTERS)):
            questions.append(maker.word(word))
    return questions


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSONL."""
    lines = (
        json.dumps(
            {"id": row.id, "skill": row.question.skill, "question": row.question.text, "answer": row.question.answer}
        )
        for row in rows
    )
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def main() -> None:
    """Recreate the file."""
    CommandLine(prog="python -m models.tiny.heldout", description=__doc__).parse_args()
    write(Path(__file__).with_name("heldout.jsonl"), made())


if __name__ == "__main__":
    main()
