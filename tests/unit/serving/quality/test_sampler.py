"""Grades of a share of the answers: which, in which order, and what is left out."""

import asyncio
from typing import Any

import pytest

from serving.conversation import Message, Thinking
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.quality.sampler import QualitySampler
from serving.quality.settings import QualitySettings
from serving.store.records import RecordedAnswer
from serving.types import GenerateRequest
from tests.support.records import Seen
from tests.support.waiting import until

REQUEST = GenerateRequest("r", (Message("user", "Why is the sky blue?"),))
ABOUT = RecordedAnswer("chatcmpl-1", "alice", "moa", 3)


def sampler(judge: ScriptedEngine, seen: Seen, clock: Any = lambda: 0.0, **settings: Any) -> QualitySampler:
    return QualitySampler(QualitySettings(judge="j", **settings), judge, None, seen, clock=clock)


def test_the_sample_is_a_share_of_the_ids() -> None:
    chosen = sampler(ScriptedEngine(), Seen(), sample=0.1)
    share = sum(chosen.wants(f"chatcmpl-{number}") for number in range(10_000)) / 10_000
    assert 0.08 < share < 0.12
    assert chosen.wants("chatcmpl-1") == sampler(ScriptedEngine(), Seen(), sample=0.1).wants("chatcmpl-1")
    assert all(sampler(ScriptedEngine(), Seen(), sample=1).wants(f"{number}") for number in range(100))


async def test_the_judge_reads_conversation_answer_and_criteria_at_the_lowest_priority() -> None:
    judge, seen = ScriptedEngine("j", "7", thinking=True), Seen()
    grading = sampler(judge, seen, criteria="Short answers are better.")
    grading.start()
    grading.add(REQUEST, ABOUT, "Rayleigh\nscattering.")
    await until(lambda: seen.scores)
    await grading.close()
    assert seen.scores == [("graded", "moa", 3, 0.7)]
    [asked] = judge.requests
    [message] = asked.messages
    assert "Why is the sky blue?" in message.content
    assert "   Rayleigh\n   scattering." in message.content
    assert "Short answers are better." in message.content
    assert asked.priority >= 64 * 2047
    assert asked.thinking == Thinking(enabled=False)
    assert not asked.streaming


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        (ScriptedEngine("j", "It is good."), "abstained"),
        (ScriptedEngine("j", error=EngineFailed("j", "gone"), fail_after=0), "failed"),
        (ScriptedEngine("j", hang=True), "failed"),
    ],
    ids=["abstained", "failed", "late"],
)
async def test_an_answer_without_a_grade_is_counted_and_the_next_is_graded(judge: ScriptedEngine, reason: str) -> None:
    seen = Seen()
    grading = sampler(judge, seen, deadline_s=0.01 if judge.hang else 60)
    grading.start()
    grading.add(REQUEST, ABOUT, "text")
    await until(lambda: seen.scores)
    judge.answer, judge.error, judge.hang = "10", None, False
    grading.settings = grading.settings.model_copy(update={"deadline_s": 60.0})
    grading.add(REQUEST, ABOUT, "text")
    await until(lambda: len(seen.scores) > 1)
    await grading.close()
    assert seen.scores == [("not graded", reason), ("graded", "moa", 3, 1.0)]


async def test_no_more_answers_wait_or_are_graded_than_the_limits_allow() -> None:
    seen, now = Seen(), [0.0]
    grading = sampler(ScriptedEngine("j", "5"), seen, lambda: now[0], max_per_hour=3, max_pending=2)
    for _ in range(3):
        grading.add(REQUEST, ABOUT, "text")
    assert (grading.waiting, seen.scores) == (2, [("not graded", "full")])
    grading.start()
    await until(lambda: len(seen.scores) == 3)
    for _ in range(2):
        grading.add(REQUEST, ABOUT, "text")
    await until(lambda: len(seen.scores) == 5)
    assert seen.scores.count(("not graded", "limit")) == 1
    now[0] = 3600.0
    grading.add(REQUEST, ABOUT, "text")
    await until(lambda: len(seen.scores) == 6)
    await grading.close()
    assert seen.scores.count(("graded", "moa", 3, 0.5)) == 4


async def test_the_end_does_not_wait_for_the_judge() -> None:
    judge, seen = ScriptedEngine("j", hang=True), Seen()
    grading = sampler(judge, seen)
    grading.start()
    grading.add(REQUEST, ABOUT, "text")
    await until(lambda: judge.running)
    await grading.close()
    assert judge.running == 0
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "quality"]
