"""Tool loops without a server, with replies that are written here."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from models.tiny.families import QWEN, Family, Lesson
from models.tiny.measure_tasks import MAX_TURNS, call_in, loops, thinking_table, tool_table
from models.tiny.tools import NOT_FOUND
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE
from serving.types import Reference, ReferenceBlock, ToolCall
from tests.support.trio import CASES

ROW = {
    "question": "Who is the ruler of Vorlan?",
    "answer": "Ombre",
    "tools": [{"type": "function", "function": {"name": "find_it", "parameters": {"type": "object"}}}],
    "backends": {"find_it": {"kind": "lookup", "parameter": "key", "entries": {"ruler of Vorlan": "Ombre"}}},
}


@dataclass
class Scripted:
    """A model whose replies follow from the lesson."""

    family: Family
    reply: Callable[[Lesson], str]

    def says(self, lessons: Sequence[Lesson], temperature: float = 0.0, max_tokens: int = 24) -> list[str]:
        return [self.reply(lesson) for lesson in lessons]


def hermes(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


@pytest.mark.parametrize(
    "text",
    [hermes("f", '{"a": "b"}'), '{"name": "f", "parameters": {"a": "b"}}'],
)
def test_calls_of_both_formats_are_read(text: str) -> None:
    assert call_in(text) == ToolCall("call", "f", '{"a": "b"}')


@pytest.mark.parametrize(
    "text", ["Ombre", "12", "null", '{"name": "f"}', hermes("f", "{"), f"so {hermes('f', '{}')}", '{"arguments": {}}']
)
def test_other_texts_are_answers(text: str) -> None:
    assert call_in(text) is None


def test_a_loop_runs_the_call_and_returns_the_text_after_it() -> None:
    def reply(lesson: Lesson) -> str:
        last = lesson.messages[-1]
        return last.content if last.role == "tool" else hermes("find_it", '{"key": "ruler of Vorlan"}')

    block = ReferenceBlock((Reference("a", "Bern"),), AGGREGATE_AND_SYNTHESIZE, "references_last")
    for given in (None, block):
        (loop,) = loops(Scripted(QWEN, reply), [ROW], [given])
        assert loop.calls == (("find_it", '{"key": "ruler of Vorlan"}'),)
        assert loop.answer == "Ombre"


def test_unknown_tools_and_topics_are_results_and_the_turns_are_bounded() -> None:
    results: list[Any] = []

    def reply(lesson: Lesson) -> str:
        results.extend(message.content for message in lesson.messages[-1:] if message.role == "tool")
        name = "find_it" if len(lesson.messages) > 1 else "other"
        return hermes(name, json.dumps({"key": "x"}))

    (loop,) = loops(Scripted(QWEN, reply), [ROW], [None])
    assert len(loop.calls) == MAX_TURNS
    assert loop.answer == ""
    assert results == ["error: no such tool", NOT_FOUND]


def test_tables_have_every_model_and_situation() -> None:
    models = [Scripted(family, lambda lesson: "</think>7" if lesson.thinking else "8") for family, _ in _families()]
    tools, thinking = tool_table(models), thinking_table(models)
    assert [row[0].text for row in tools.rows] == ["alone"] * 2 + ["paper"] * 2 + ["references_last"] * 2 + ["alone"]
    assert tools.rows[-1][1].text == "first calls equal"
    assert [row[1].text for row in thinking.rows] == ["off", "on"] * 3


def _families() -> list[tuple[Family, Any]]:
    return [(case.values[0], case.values[1]) for case in CASES]
