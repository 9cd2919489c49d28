"""The benchmark: 300 questions, a hundred a skill, that training never sees.

`python -m models.tiny.heldout` writes `heldout.jsonl` again from its seed.
"""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from models.tiny.questions import SKILLS, HeldOut, Question, QuestionMaker, Skill, SkillRange, dictionary, facts

SEED = 20260
QUESTIONS_PER_SKILL = 100
WORD_LETTERS = range(4, 9)
SKILL_RANGE = SkillRange(digits=(1.0, 1.0, 1.0), max_letters=8)


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    question: Question


@cache
def rows() -> tuple[Row, ...]:
    """The committed benchmark."""
    lines = resources.files("models.tiny").joinpath("heldout.jsonl").read_text("utf-8").splitlines()
    return tuple(
        Row(row["id"], Question(row["skill"], row["question"], row["answer"])) for row in map(json.loads, lines)
    )


def held_out() -> HeldOut:
    return HeldOut.of(row.question for row in rows())


def made() -> tuple[Row, ...]:
    """The benchmark, made from its seed: operand pairs, words and facts are all different."""
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
    """Operands of one to three digits in equal shares; not two of one digit, there are too few to hold out."""
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
    """Real words, as many of each length."""
    maker = QuestionMaker(rng)
    questions: list[Question] = []
    for letters in WORD_LETTERS:
        fitting = [word for word in dictionary() if len(word) == letters and word != word[::-1]]
        for word in rng.sample(fitting, QUESTIONS_PER_SKILL // len(WORD_LETTERS)):
            questions.append(maker.word(word))
    return questions


def write(path: Path, rows: Iterable[Row]) -> None:
    lines = (
        json.dumps(
            {"id": row.id, "skill": row.question.skill, "question": row.question.text, "answer": row.question.answer}
        )
        for row in rows
    )
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


if __name__ == "__main__":
    write(Path(__file__).with_name("heldout.jsonl"), made())
