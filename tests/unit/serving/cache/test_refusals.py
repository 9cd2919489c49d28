"""Answers that are stored, and those that are not."""

from dataclasses import replace

import pytest

from serving.cache.refusals import refusal
from serving.conversation import FinishReason, ToolCall
from serving.types import Choice, Completion, Report, Sampling
from serving.usage import TokenUsage

FINE = Completion((Choice("text", "stop"),), TokenUsage(1, 1))


def ended(reason: FinishReason) -> Completion:
    return replace(FINE, choices=(Choice("one", "stop"), Choice("two", reason)))


def test_a_whole_answer_is_stored() -> None:
    assert refusal(FINE, Sampling()) is None
    assert (
        refusal(replace(FINE, choices=(Choice("", "tool_calls", tool_calls=(ToolCall("1", "f", "{}"),)),)), Sampling())
        is None
    )
    assert refusal(replace(FINE, report=Report("moa", False, ("a reason",), ())), Sampling()) is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (replace(FINE, report=Report("moa", True, ("an agent failed",), ())), "degraded"),
        (replace(FINE, shortened=1), "degraded"),
        (ended("length"), "cut"),
        (ended("content_filter"), "filtered"),
        (replace(FINE, choices=(Choice("", "stop", reasoning="only thoughts"),)), "empty"),
    ],
)
def test_others_are_not(answer: Completion, why: str) -> None:
    assert refusal(answer, Sampling()) == why


def test_the_requests_own_limit_cuts_every_equal_answer() -> None:
    assert refusal(ended("length"), Sampling(max_tokens=5)) is None
