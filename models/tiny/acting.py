"""Training conversations of the last stage: loops of tool calls, and thoughts.

A loop has a question, a call, its result and the answer. Questions that the model can answer itself are answered at
once although tools are offered; where no tool fits, the reply is `NO_TOOL`. References stand where serving puts them.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.tools.backends import NOT_FOUND
from models.tiny.conversations import ConversationMaker
from models.tiny.families import Lesson
from models.tiny.questions import Question
from models.tiny.references import ReferencePool
from models.tiny.tasks import CHAINS, LOOKUPS, PRODUCTS, QUOTIENTS, Task, TaskMaker, TaskSkill, relations
from models.tiny.tool_format import ToolFormat
from models.tiny.tool_purposes import PURPOSES
from models.tiny.tools import Kind, Offer, ToolMaker, kinds
from serving.conversation import Message, ToolCall
from serving.references import Layout, ReferenceBlock, References
from serving.runtime.advice_prompt import as_prose
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references

NO_TOOL = "I have no tool for that."
UNKNOWN = "I do not know."
TOOL_SKILLS: dict[Kind, TaskSkill] = {"calculator": "calculate", "lookup": "lookup"}
THOUGHT_SKILLS: tuple[TaskSkill, ...] = ("chain", "long_sum")
EASY = "I know that."  # the thought about a question that can be answered at once
NO_FIT = "No tool fits."
CALLING, CALLED = "I call {}.", "{} has the answer."  # the thoughts before and after a call
NO_RESULTS = (NOT_FOUND, NOT_FOUND, "error: no entry", "null")
RESULT = "The result is {}."
REPEAT = "Repeat:"


@dataclass
class ActingMaker:
    """Makes lessons for one model from its questions (`conversations`), tasks and tools."""

    rng: random.Random
    conversations: ConversationMaker
    tasks: TaskMaker
    tools: ToolMaker
    pools: tuple[ReferencePool[Question], ReferencePool[Task]]  # proposals to direct questions and to tasks

    def offers(self) -> list[Offer]:
        """Make the tools of a group of lessons: a calculator, a lookup, both or none of them, and others."""
        needed: list[list[Kind]] = [["calculator"], ["lookup"], ["calculator", "lookup"], []]
        return self.tools.offers(self.rng.choices(needed, (5, 5, 12, 1))[0])

    def loop(
        self, offers: Sequence[Offer], system: str | None, *, thinking: bool = False, again: bool = False
    ) -> Lesson:
        """Make one question with its loop, or two (`again`)."""
        messages = [] if system is None else [Message("system", system)]
        if again:
            messages += self._turns(offers, thinking=False)
        return Lesson((*messages, *self._turns(offers, thinking=thinking)), *_offered(offers))

    def loop_with_references(self, layout: Layout, system: str | None) -> Lesson:
        """Make one task with references and its loop, or one question that needs no tool."""
        offers = self.offers()
        messages = [] if system is None else [Message("system", system)]
        skills = [TOOL_SKILLS[offer.kind] for offer in offers if offer.kind != "other"]
        references: References
        if skills and self.rng.random() < 0.75:
            task, references = self._drawn(skills)
            messages += self._task_turns(task, offers)
        else:
            question, references = self.pools[0].draw(self.rng)
            messages += [Message("user", question.text), Message("assistant", question.answer)]
        block = ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE, layout)
        return Lesson(_referred(messages, block), *_offered(offers))

    def _drawn(self, skills: Sequence[TaskSkill]) -> tuple[Task, References]:
        while True:
            task, references = self.pools[1].draw(self.rng)
            if task.skill in skills:
                return task, references

    def thought(self, system: str | None, *, thinking: bool) -> Lesson:
        """Make a question for thinking, with a thought or, if not `thinking`, answered at once."""
        messages = [] if system is None else [Message("system", system)]
        if self.rng.random() < 0.1:
            question = self.conversations.question()
            messages += [Message("user", question.text), Message("assistant", question.answer)]
        return Lesson((*messages, *self._thought_turns(thinking=thinking)))

    def thought_with_references(self, layout: Layout, system: str | None) -> Lesson:
        """Make a question for thinking with references."""
        task, references = self._drawn(THOUGHT_SKILLS)
        messages = [] if system is None else [Message("system", system)]
        messages += [Message("user", task.text), _thinks(task)]
        return Lesson(_referred(messages, ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE, layout)))

    def copy(self, system: str | None) -> Lesson:
        """Make a text to repeat: arguments of calls are copied from the question, answers from results."""
        messages = [] if system is None else [Message("system", system)]
        text = self.tasks.copied()
        return Lesson((*messages, Message("user", f"{REPEAT} {text}"), Message("assistant", text)))

    def prose(self, system: str | None) -> Lesson:
        """Make a task whose loop an adviser reads as prose; the reply is the result."""
        offers = self.tools.offers([self.rng.choice(tuple(TOOL_SKILLS))])
        (offer,) = [each for each in offers if each.kind != "other"]
        *turns, answer = self._task_turns(self._task(offer), offers)
        messages = [] if system is None else [Message("system", system)]
        return Lesson((*messages, *as_prose(turns), answer))

    def _turns(self, offers: Sequence[Offer], *, thinking: bool) -> list[Message]:
        """One question with its loop, if a tool is needed and offered."""
        if self.rng.random() < 0.25:
            question = self.conversations.question()
            thought = EASY if thinking else None
            return [Message("user", question.text), Message("assistant", question.answer, reasoning=thought)]
        kind = self.rng.choice(tuple(TOOL_SKILLS))
        fitting = [offer for offer in offers if offer.kind == kind]
        if not fitting and self.rng.random() < 0.8:
            fitting = [offer for offer in offers if offer.kind != "other"]
        if not fitting:
            task = self.tasks.ask(TOOL_SKILLS[kind])
            thought = NO_FIT if thinking else None
            return [Message("user", task.text), Message("assistant", NO_TOOL, reasoning=thought)]
        return self._task_turns(self._task(fitting[0]), offers, thinking=thinking)

    def _task(self, offer: Offer) -> Task:
        assert offer.kind != "other"
        return self.tasks.ask(TOOL_SKILLS[offer.kind])

    def _task_turns(self, task: Task, offers: Sequence[Offer], *, thinking: bool = False) -> list[Message]:
        """A task, the call of the offered tool, its result and the answer."""
        (offer,) = [each for each in offers if each.kind != "other" and TOOL_SKILLS[each.kind] == task.skill]
        found = offer.kind == "calculator" or self.rng.random() < 0.92
        call = ToolCall("call", offer.name, _arguments(offer, task))
        result = self._result(task) if found else self.rng.choice(NO_RESULTS)
        answer = task.answer if found else UNKNOWN
        first, second = (CALLING.format(offer.name), CALLED.format(offer.name)) if thinking else (None, None)
        return [
            Message("user", task.text),
            Message("assistant", "", reasoning=first, tool_calls=(call,)),
            Message("tool", result, tool_call_id=call.id),
            Message("assistant", answer, reasoning=second),
        ]

    def _result(self, task: Task) -> str:
        """Result of the call, in the shapes in which tools return it."""
        kind = self.rng.random()
        if kind < 0.6:
            return task.answer
        if kind < 0.8:
            key = self.rng.choice(("result", "value", "answer"))
            number = task.answer.isdigit() and self.rng.random() < 0.7
            return json.dumps({key: int(task.answer) if number else task.answer})
        if kind < 0.9:
            return f"{task.argument} {'=' if task.skill == 'calculate' else 'is'} {task.answer}"
        return RESULT.format(task.answer)

    def _thought_turns(self, *, thinking: bool) -> list[Message]:
        if thinking and self.rng.random() < 0.12:
            question = self.conversations.question()
            return [Message("user", question.text), Message("assistant", question.answer, reasoning=EASY)]
        task = self.tasks.ask(self.rng.choice(THOUGHT_SKILLS))
        return [Message("user", task.text), _thinks(task) if thinking else Message("assistant", task.answer)]


def corpus(tool_format: ToolFormat) -> Iterator[str]:
    """Yield the texts of the last stage whose words become tokens; invented words and held-out ones stay letters."""
    yield tool_format.system("", ())
    yield from (tool_format.call(ToolCall("", "", '{"": ""}')), "[{", "(called with {", "(returned: ", " * / - = ")
    for entry in (*(kinds()[kind] for kind in TOOL_SKILLS), *kinds()["others"]):
        parameters = [name for names in entry["parameters"] for name in ([names] if isinstance(names, str) else names)]
        yield from entry["names"] + entry["descriptions"] + entry.get("parameter_descriptions", []) + parameters
        yield from (f" {text}." for text in entry.get("verbs", []) + entry.get("objects", []))
        yield from entry.get("verbs", [])
        yield from (f'The {name} "{name.title()}"'.replace("_", " ") for name in parameters)
    for phrasing in (*PRODUCTS, *QUOTIENTS, *LOOKUPS, *CHAINS):
        yield phrasing.format(a=1, b=2, c="1 + 2 - 3", r=" ", x=" ")
    for relation in relations():
        yield f"{relation} {relation}"
    yield '{"type": "function", "function": {"name": ["'
    yield '"title" "string" "description" "object" "parameters" "properties" "required" "additionalProperties": false'
    yield '"result" "value" "answer" <tool_response>'
    yield from (
        NO_TOOL,
        UNKNOWN,
        EASY,
        NO_FIT,
        NOT_FOUND,
        *NO_RESULTS,
        RESULT,
        CALLING,
        CALLED,
        REPEAT,
        " is",
    )


def _thinks(task: Task) -> Message:
    return Message("assistant", task.answer, reasoning="\n".join(task.steps))


def _arguments(offer: Offer, task: Task) -> str:
    return json.dumps({offer.parameter: task.argument}, ensure_ascii=False)


def _offered(offers: Sequence[Offer]) -> tuple[tuple[dict[str, object], ...], tuple[int, ...]]:
    """The offers' schemas and purposes."""
    return tuple(offer.schema for offer in offers), tuple(PURPOSES.index(offer.kind) for offer in offers)


def _referred(messages: Sequence[Message], block: ReferenceBlock) -> tuple[Message, ...]:
    """`messages` with the references where serving puts them for the prompt before each reply."""
    last = max(place for place, message in enumerate(messages) if message.role == "user")
    before = with_references(messages[: last + 1], block)
    return (*before, *messages[last + 1 :])
