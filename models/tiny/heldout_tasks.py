"""The held-out tasks for tools and for thinking: `python -m models.tiny.heldout_tasks` recreates both files.

`heldout_tools.jsonl`: 200 questions with the offered tools and data to run them; `heldout_thinking.jsonl`: 150.
Training excludes their numbers and places, and the names and descriptions of their tools.
"""

import json
import random
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from models.tiny import heldout
from models.tiny.questions import Question, facts
from models.tiny.tasks import Task, TaskMaker, TaskSkill
from models.tiny.tools import Kind, Offer, ToolMaker
from serving.command_line import CommandLine

SEED = 20261
COUNTS: Mapping[TaskSkill, int] = {"calculate": 80, "lookup": 70, "chain": 90, "long_sum": 60}
NONE_COUNTS = {"arithmetic": 17, "words": 17, "facts": 16}  # questions that the models answer themselves
KNOWN_LETTERS = 5  # of words that every model can spell
TOOLS_FILE, THINKING_FILE = "heldout_tools.jsonl", "heldout_thinking.jsonl"

JsonRow = dict[str, Any]


@cache
def rows(file: str) -> tuple[JsonRow, ...]:
    """Load one of the committed files."""
    lines = resources.files("models.tiny").joinpath(file).read_text("utf-8").splitlines()
    return tuple(map(json.loads, lines))


@cache
def held_out_keys() -> frozenset[str]:
    """Keys of the tasks that training must exclude; see `Task.key`."""
    return frozenset(task.key for task in _tasks(random.Random(SEED)))


def _tasks(rng: random.Random) -> list[Task]:
    """Tasks of all skills, each key once."""
    maker = TaskMaker(rng)
    tasks: dict[str, Task] = {}
    for skill, count in COUNTS.items():
        made = 0
        while made < count:
            task = maker.ask(skill)
            if task.key not in tasks:
                tasks[task.key] = task
                made += 1
    return list(tasks.values())


def made() -> tuple[list[JsonRow], list[JsonRow]]:
    """Generate the rows of both files from the seed."""
    tasks = _tasks(random.Random(SEED))
    rng = random.Random(f"{SEED} tools")
    tools, maker = ToolMaker(rng, held_out=True), TaskMaker(rng)
    with_tools = [_tool_row(task, tools, maker) for task in tasks if not task.steps]
    with_tools += [_none_row(question, tools, maker) for question in _known(rng)]
    thinking = [{"question": task.text, "answer": task.answer, "skill": task.skill} for task in tasks if task.steps]
    return _numbered(with_tools), _numbered(thinking)


def _tool_row(task: Task, tools: ToolMaker, maker: TaskMaker) -> JsonRow:
    """Row of a task for a tool; the tool of the other kind is also offered to one of three."""
    needed: Kind = "calculator" if task.skill == "calculate" else "lookup"
    other: Kind = "lookup" if needed == "calculator" else "calculator"
    offers = tools.offers([needed, other] if tools.rng.random() < 1 / 3 else [needed])
    entries = maker.entries(task if needed == "lookup" else maker.ask("lookup"))
    return _row(task.text, task.answer, task.skill, offers, entries)


def _none_row(question: Question, tools: ToolMaker, maker: TaskMaker) -> JsonRow:
    """Row of a question that needs no tool; every kind of tool is offered now and then."""
    kinds: list[list[Kind]] = [[], ["calculator"], ["lookup"], ["calculator", "lookup"]]
    offers = tools.offers(tools.rng.choice(kinds))
    return _row(question.text, question.answer, "none", offers, maker.entries(maker.ask("lookup")))


def _row(text: str, answer: str, skill: str, offers: list[Offer], entries: Mapping[str, str]) -> JsonRow:
    backends: dict[str, JsonRow] = {}
    for offer in offers:
        if offer.kind != "other":
            backends[offer.name] = {"kind": offer.kind, "parameter": offer.parameter}
            if offer.kind == "lookup":
                backends[offer.name]["entries"] = dict(entries)
    tools = [offer.schema for offer in offers]
    return {"question": text, "answer": answer, "skill": skill, "tools": tools, "backends": backends}


def _known(rng: random.Random) -> list[Question]:
    """Held-out questions in the range of every model that calls tools."""
    from models.tiny.curriculum import CURRICULA  # imports torch

    taught = [set(curriculum.skill_range().facts) for curriculum in CURRICULA if curriculum.act_steps]
    subjects = {fact.answer for fact in facts() if all(fact in known for known in taught)}
    fitting = {
        "arithmetic": lambda one: all(len(number) <= 2 for number in re.findall(r"\d+", one.text)),
        "words": lambda one: len(one.answer) <= KNOWN_LETTERS,
        "facts": lambda one: one.answer in subjects,
    }
    asked = [row.question for row in heldout.rows()]
    chosen: list[Question] = []
    for skill, count in NONE_COUNTS.items():
        known = [question for question in asked if question.skill == skill and fitting[skill](question)]
        chosen += rng.sample(known, min(count, len(known)))
    return chosen


def _numbered(rows: list[JsonRow]) -> list[JsonRow]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["skill"]] = counts.get(row["skill"], 0) + 1
        row["id"] = f"{row['skill']}-{counts[row['skill']]:03}"
    return [{"id": row.pop("id"), **row} for row in rows]


def write(path: Path, rows: Iterable[JsonRow]) -> None:
    """Write rows as JSONL."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def main() -> None:
    """Recreate both files."""
    CommandLine(prog="python -m models.tiny.heldout_tasks", description=__doc__).parse_args()
    for file, made_rows in zip((TOOLS_FILE, THINKING_FILE), made(), strict=True):
        write(Path(__file__).with_name(file), made_rows)


if __name__ == "__main__":
    main()
