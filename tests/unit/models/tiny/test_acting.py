"""Lessons with tools and thoughts: the replies are the calls, results and answers that serving would see."""

import json
import random

import pytest

from models.tiny import heldout_tasks
from models.tiny.acting import NO_TOOL, UNKNOWN, ActingMaker, corpus
from models.tiny.conversations import ConversationMaker
from models.tiny.questions import QuestionMaker
from models.tiny.tasks import TaskMaker
from models.tiny.tool_format import HERMES, LLAMA_JSON, ToolFormat
from models.tiny.tools import ToolMaker, held_out_words, value_of
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE
from tests.support.trio import POOL, TASK_POOL


@pytest.fixture
def maker() -> ActingMaker:
    rng = random.Random(5)
    conversations = ConversationMaker(rng, QuestionMaker(rng), (1.0, 1.0, 1.0))
    tasks = TaskMaker(rng, heldout_tasks.held_out_keys())
    return ActingMaker(rng, conversations, tasks, ToolMaker(rng), (POOL, TASK_POOL))


def test_a_loop_calls_an_offered_tool_and_answers_from_its_result(maker: ActingMaker) -> None:
    seen = {"called": 0, "direct": 0, NO_TOOL: 0, UNKNOWN: 0}
    for _ in range(300):
        offers = maker.offers()
        lesson = maker.loop(offers, None)
        assert lesson.tools == tuple(offer.schema for offer in offers)
        if len(lesson.messages) == 2:
            kind = NO_TOOL if lesson.messages[1].content == NO_TOOL else "direct"
            seen[kind] += 1
            continue
        _, called, result, answer = lesson.messages
        (call,) = called.tool_calls
        (offer,) = [offer for offer in offers if offer.name == call.name]
        ((parameter, argument),) = json.loads(call.arguments).items()
        assert parameter == offer.parameter
        assert (value_of(argument) is not None) == (offer.kind == "calculator")
        seen[UNKNOWN if answer.content == UNKNOWN else "called"] += 1
        assert answer.content == UNKNOWN or answer.content in result.content
    assert min(seen.values()) > 5
    assert seen["called"] > 120


def test_a_second_question_follows_the_first_loop(maker: ActingMaker) -> None:
    for _ in range(30):
        roles = [message.role for message in maker.loop(maker.offers(), "Be brief.", again=True).messages]
        assert roles[0] == "system"
        assert roles.count("user") == 2


def test_references_stand_before_the_loop(maker: ActingMaker) -> None:
    paper = [maker.loop_with_references("paper", "Be brief.").messages for _ in range(40)]
    assert all(each[0].content.startswith(f"Be brief.\n\n{AGGREGATE_AND_SYNTHESIZE}\n1. ") for each in paper)
    last = [maker.loop_with_references("references_last", None).messages for _ in range(40)]
    assert all(AGGREGATE_AND_SYNTHESIZE in each[0].content for each in last)
    called, direct = (["user", "assistant", "tool", "assistant"], ["user", "assistant"])
    roles = [[message.role for message in each] for each in last]
    assert called in roles
    assert direct in roles
    assert {each[-1].content for each in last if len(each) == 2} == {"Lima"}


def test_a_thought_is_taught_only_with_thinking(maker: ActingMaker) -> None:
    assert all(maker.thought(None, thinking=True).messages[-1].reasoning for _ in range(40))
    assert all(maker.thought(None, thinking=False).messages[-1].reasoning is None for _ in range(40))
    referred = maker.thought_with_references("paper", None).messages
    assert referred[-1].reasoning is not None
    assert referred[0].role == "system"
    loop = maker.loop(maker.tools.offers(["calculator", "lookup"]), None, thinking=True).messages
    assert all(message.reasoning for message in loop if message.role == "assistant")


def test_a_copied_text_is_repeated(maker: ActingMaker) -> None:
    texts = [maker.copy(None).messages for _ in range(50)]
    assert all(asked.content == f"Repeat: {copied.content}" for asked, copied in texts)
    assert len({copied.content for _, copied in texts}) == 50


def test_an_adviser_reads_the_loop_as_prose(maker: ActingMaker) -> None:
    asked, answer = maker.prose(None).messages
    assert "(called " in asked.content
    assert answer.content in asked.content or answer.content == UNKNOWN


@pytest.mark.parametrize("tool_format", [HERMES, LLAMA_JSON], ids=["hermes", "llama"])
def test_held_out_names_are_no_words_of_the_corpus(tool_format: ToolFormat) -> None:
    assert not held_out_words() & set(corpus(tool_format))
