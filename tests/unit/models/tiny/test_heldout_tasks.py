"""The held-out tasks: made from their seed, and answerable with their tools."""

import random
import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest
from pydantic import TypeAdapter

from evaluation.scoring.exact import normalized
from evaluation.tools.backends import Backend
from models.tiny import heldout, heldout_tasks
from models.tiny.curriculum import CURRICULA, Curriculum, acting_batches
from models.tiny.families import Lesson
from models.tiny.heldout_tasks import THINKING_FILE, TOOLS_FILE
from models.tiny.tasks import TaskMaker
from models.tiny.tools import kinds, value_of
from serving.conversation import Message
from tests.support.trio import POOL, TASK_POOL

TOOL_ROWS = heldout_tasks.rows(TOOLS_FILE)
THINKING_ROWS = heldout_tasks.rows(THINKING_FILE)


def _topic(row: Mapping[str, Any]) -> str:
    """The topic of a lookup's question: the entry with its words."""
    words = {"of", *re.findall(r"\w+", row["question"])}
    (entries,) = [backend["entries"] for backend in row["backends"].values() if backend["kind"] == "lookup"]
    (topic,) = [topic for topic in entries if set(topic.split()) <= words]
    return str(topic)


ASKED = {normalized(row["question"]) for row in (*TOOL_ROWS, *THINKING_ROWS)}
NUMBERS = {
    tuple(re.findall(r"\d+", row["question"])) for row in (*TOOL_ROWS, *THINKING_ROWS) if row["skill"] != "lookup"
}
NAMES = {tool["function"]["name"] for row in TOOL_ROWS for tool in row["tools"]}
PLACES = {_topic(row).rpartition(" of ")[2] for row in TOOL_ROWS if row["skill"] == "lookup"}


def test_the_committed_rows_are_what_the_seed_makes() -> None:
    with_tools, thinking = heldout_tasks.made()
    assert tuple(with_tools) == TOOL_ROWS
    assert tuple(thinking) == THINKING_ROWS


def test_every_skill_has_its_rows() -> None:
    counts = Counter(row["skill"] for row in (*TOOL_ROWS, *THINKING_ROWS))
    assert counts == {"calculate": 80, "lookup": 70, "none": 50, "chain": 90, "long_sum": 60}
    assert len({row["id"] for row in (*TOOL_ROWS, *THINKING_ROWS)}) == len(ASKED) == 350


@pytest.mark.parametrize("row", TOOL_ROWS, ids=lambda row: row["id"])
async def test_the_offered_tools_give_the_answer(row: Mapping[str, Any]) -> None:
    names = [tool["function"]["name"] for tool in row["tools"]]
    assert 1 <= len(names) == len(set(names)) <= 3
    for name, backend in row["backends"].items():
        (schema,) = [tool["function"]["parameters"] for tool in row["tools"] if tool["function"]["name"] == name]
        assert schema["required"] == [backend["parameter"]] == list(schema["properties"])
    if row["skill"] == "none":
        assert row["question"] in {held.question.text for held in heldout.rows()}
        return
    kind = "calculator" if row["skill"] == "calculate" else "lookup"
    (backend,) = [backend for backend in row["backends"].values() if backend["kind"] == kind]
    if kind == "lookup":
        topic = _topic(row)
    else:
        a, b = re.findall(r"\d+", row["question"])
        forms = [f"{x} {sign} {y}" for x, y in ((a, b), (b, a)) for sign in "+-*/"]
        topic = next(form for form in forms if str(value_of(form)) == row["answer"])
    run = TypeAdapter[Any](Backend).validate_python(backend).run
    assert await run({backend["parameter"]: topic}) == row["answer"]


def test_chains_and_long_sums_are_true() -> None:
    for row in THINKING_ROWS:
        numbers = re.findall(r"([-+]?) ?(\d+)", row["question"])
        total = sum(-int(number) if sign == "-" else int(number) for sign, number in numbers)
        assert int(row["answer"]) == total
        assert len(numbers) == 2 if row["skill"] == "long_sum" else 3 <= len(numbers) <= 5


def _leaks(lesson: Lesson) -> bool:
    """True if the lesson has a held-out question, place, or tool, judged by its texts alone."""
    for message in lesson.messages:
        if message.role == "user":
            if normalized(message.content) in ASKED or PLACES & set(re.findall(r"\w+", message.content)):
                return True
            if tuple(re.findall(r"\d+", message.content.partition("\n")[0])) in NUMBERS - {()}:
                return True
    return bool(NAMES & {tool["function"]["name"] for tool in lesson.tools})


def test_the_check_would_find_a_leak() -> None:
    assert all(_leaks(Lesson((Message("user", row["question"]),))) for row in THINKING_ROWS)
    assert all(_leaks(Lesson((Message("user", "Hi"),), tuple(row["tools"]))) for row in TOOL_ROWS)


@pytest.mark.parametrize(
    "curriculum", [each for each in CURRICULA if each.act_steps], ids=lambda each: each.family.name
)
def test_no_lesson_contains_a_held_out_task(curriculum: Curriculum) -> None:
    batches = acting_batches(
        curriculum, (POOL, TASK_POOL), heldout.held_out(), heldout_tasks.held_out_keys(), seed=1, copy_steps=10
    )
    lessons = [lesson for batch in islice(batches, 120) for lesson in batch]
    assert len(lessons) > 1_500
    assert not any(map(_leaks, lessons))
    descriptions = {tool["function"]["description"] for lesson in lessons for tool in lesson.tools}
    for kind in ("calculator", "lookup"):
        assert descriptions.isdisjoint(kinds()[kind]["heldout"]["descriptions"])


def test_no_task_of_training_has_a_held_out_key() -> None:
    keys = heldout_tasks.held_out_keys()
    maker = TaskMaker(random.Random(5), keys)
    tasks = [maker.ask(skill) for skill in ("calculate", "lookup", "chain", "long_sum") for _ in range(500)]
    assert keys.isdisjoint(task.key for task in tasks)
    assert not any(task.skill == "lookup" and PLACES & set(task.text.split()) for task in tasks)
