"""Measurements of tool loops and of thinking on the held-out tasks, without a server; part of `models.tiny.measure`."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from evaluation.scoring.exact import is_right
from evaluation.tables import Cell, Table
from models.tiny import heldout_tasks
from models.tiny.families import END_THINK, LLAMA, QWEN, Lesson
from models.tiny.loaded import LoadedModel, proposals
from models.tiny.questions import Question
from models.tiny.tools import run_tool
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references
from serving.types import Layout, Message, ReferenceBlock, References, ToolCall

TOOL_SKILLS = ("calculate", "lookup", "none")
THOUGHT_SKILLS = ("chain", "long_sum")
MAX_TURNS = 3  # of a loop: two calls and the answer
MAX_TOKENS = 112
HERMES_CALL = re.compile(r"\s*<tool_call>(.*?)</tool_call>\s*", re.DOTALL)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loop:
    """A finished loop: the calls as name and arguments, and the last text."""

    calls: tuple[tuple[str, str], ...]
    answer: str


def call_in(text: str) -> ToolCall | None:
    """Read a call in either format; None if `text` is none."""
    found = HERMES_CALL.fullmatch(text)
    try:
        call = json.loads(found[1] if found else text)
        return ToolCall("call", call["name"], json.dumps(call["arguments" if found else "parameters"]))
    except (ValueError, KeyError, TypeError):
        return None


def loops(loaded: LoadedModel, rows: Sequence[Row], blocks: Sequence[ReferenceBlock | None]) -> list[Loop]:
    """Run each row's loop: the model's calls are run until it answers with text."""
    lessons = [
        Lesson((Message("user", row["question"]),) if block is None else _asked(row, block), tuple(row["tools"]))
        for row, block in zip(rows, blocks, strict=True)
    ]
    done = [Loop((), "") for _ in rows]
    open_rows = list(range(len(rows)))
    for _ in range(MAX_TURNS):
        texts = loaded.says([lessons[number] for number in open_rows], max_tokens=MAX_TOKENS)
        still_open = []
        for number, text in zip(open_rows, texts, strict=True):
            call = call_in(text)
            if call is None:
                done[number] = replace(done[number], answer=text)
                continue
            backend = rows[number]["backends"].get(call.name)
            result = "error: no such tool" if backend is None else run_tool(backend, call.arguments)
            done[number] = replace(done[number], calls=(*done[number].calls, (call.name, call.arguments)))
            turns = (Message("assistant", "", tool_calls=(call,)), Message("tool", result, tool_call_id=call.id))
            lessons[number] = replace(lessons[number], messages=(*lessons[number].messages, *turns))
            still_open.append(number)
        open_rows = still_open
        if not open_rows:
            break
    return done


def _asked(row: Row, block: ReferenceBlock) -> tuple[Message, ...]:
    return with_references((Message("user", row["question"]),), block)


def tool_table(loaded_models: Sequence[LoadedModel]) -> Table:
    """Loops alone and with references in both layouts, of every model that calls tools."""
    rows = heldout_tasks.rows(heldout_tasks.TOOLS_FILE)
    acting = [loaded for loaded in loaded_models if loaded.family in (QWEN, LLAMA)]
    proposed = proposals(loaded_models, _questions(rows))
    lines = []
    alone: list[list[Loop]] = []
    for task, blocks in _situations(proposed):
        for loaded in acting:
            found = loops(loaded, rows, blocks)
            if task == "alone":
                alone.append(found)
            right = [is_right(loop.answer, row["answer"]) for loop, row in zip(found, rows, strict=True)]
            lines.append((Cell(task), Cell(f"`{loaded.family.name}`"), *_shares(rows, TOOL_SKILLS, right)))
    calls = [[loop.calls[:1] for loop in found] for found in alone]
    equal = [len(set(each)) == 1 for each in zip(*calls, strict=True)]
    lines.append((Cell("alone"), Cell("first calls equal"), *_shares(rows, TOOL_SKILLS, equal)))
    return Table("Right answers of tool loops, %", ("task", "model", *TOOL_SKILLS, "all"), tuple(lines))


def thinking_table(loaded_models: Sequence[LoadedModel]) -> Table:
    """Thinking off and on, of the model that thinks: alone and with references."""
    rows = heldout_tasks.rows(heldout_tasks.THINKING_FILE)
    (thinker,) = [loaded for loaded in loaded_models if loaded.family is QWEN]
    proposed = proposals(loaded_models, _questions(rows))
    lines = []
    for task, blocks in _situations(proposed):
        for thinking in (False, True):
            lessons = [
                Lesson((Message("user", row["question"]),) if block is None else _asked(row, block), thinking=thinking)
                for row, block in zip(rows, blocks, strict=True)
            ]
            texts = thinker.says(lessons, max_tokens=MAX_TOKENS)
            answers = [text.partition(END_THINK)[2] if thinking else text for text in texts]
            right = [is_right(answer, row["answer"]) for answer, row in zip(answers, rows, strict=True)]
            shares = _shares(rows, THOUGHT_SKILLS, right)
            lines.append((Cell(task), Cell("on" if thinking else "off"), *shares))
    title = f"Right answers of `{QWEN.name}` without and with thinking, %"
    return Table(title, ("task", "thinking", *THOUGHT_SKILLS, "all"), tuple(lines))


def _situations(proposed: Sequence[References]) -> list[tuple[str, list[ReferenceBlock | None]]]:
    def blocks(layout: Layout) -> list[ReferenceBlock | None]:
        return [ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE, layout) for references in proposed]

    nothing: list[ReferenceBlock | None] = [None] * len(proposed)
    return [("alone", nothing), *((layout, blocks(layout)) for layout in get_args(Layout))]


def _questions(rows: Sequence[Row]) -> list[Question]:
    return [Question("talk", row["question"], row["answer"]) for row in rows]


def _shares(rows: Sequence[Row], skills: Sequence[str], hits: Sequence[bool]) -> list[Cell]:
    """Shares of `hits` in each skill, then in all."""
    chosen: list[Callable[[Row], bool]] = [lambda row, skill=skill: row["skill"] == skill for skill in skills]  # type: ignore[misc]
    chosen.append(lambda row: True)
    parts = [[hit for hit, row in zip(hits, rows, strict=True) if fits(row)] for fits in chosen]
    return [Cell(f"{100 * sum(part) / len(part):.1f}") for part in parts]
