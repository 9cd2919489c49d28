"""Training questions for `python -m training`: `python -m models.tiny.training_set --out questions.jsonl`.

Questions of the generator in the range of the held-out ones, which never occur: their operands, words and phrasings of
facts are left out. Facts are asked about in turn, so that 624 questions include all of them.
"""

import json
import random
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from evaluation.scoring.exact import normalized
from models.tiny.heldout import SKILL_RANGE, held_out
from models.tiny.questions import SKILLS, Question, QuestionMaker, facts
from serving.command_line import CommandLine, at_least

MOST = 4000  # a third are about facts, whose different questions are few
DRAWS = 100  # of one question, until it is a new one: a fact has a few phrasings


def made(count: int, seed: int) -> list[Question]:
    """Make `count` different questions, at most `MOST`: the three skills in turn."""
    maker = QuestionMaker(random.Random(seed), SKILL_RANGE, held_out())
    every = cycle(maker.rng.sample(facts(), len(facts())))
    found: dict[str, Question] = {}
    while len(found) < count:
        skill = SKILLS[len(found) % len(SKILLS)]
        fact = next(every) if skill == "facts" else None
        for _ in range(DRAWS):
            question = maker.fact(fact) if skill == "facts" else maker.ask(skill)
            if found.setdefault(normalized(question.text), question) is question:
                break
    return list(found.values())


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file."""
    parser = CommandLine(prog="python -m models.tiny.training_set", description=__doc__)
    parser.add_argument(
        "--questions", type=at_least(1, int, MOST), default=300, help="number of questions (default: 300)"
    )
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file to write")
    options = parser.parse_args(argv)
    rows = [
        {"id": f"train-{number:04}", "skill": one.skill, "question": one.text, "answer": one.answer}
        for number, one in enumerate(made(options.questions, options.seed), start=1)
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} questions: {options.out}")


if __name__ == "__main__":
    main()
