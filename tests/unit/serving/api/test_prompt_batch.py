"""Answers to several prompts as one stream."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from serving.api.prompt_batch import merged
from serving.engine import Engine, collect
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed, IncompleteGeneration, Overloaded
from serving.types import Delta, GenerateRequest, RawPrompt, Report, Sampling
from serving.usage import TokenUsage
from tests.support.api import END, HandEngine

TEXTS = ("a", "b c", "d")


def requests(*texts: str, **sampling: Any) -> list[GenerateRequest]:
    return [
        GenerateRequest(f"r-{place}", (), Sampling(**sampling), prompt=RawPrompt(text, path=f"prompt[{place}]"))
        for place, text in enumerate(texts or TEXTS)
    ]


class Hands(Engine):
    """One `HandEngine` per prompt, by its text."""

    def __init__(self) -> None:
        self.hands = {text: HandEngine() for text in TEXTS}

    async def check_health(self) -> None: ...

    def generate(self, request: GenerateRequest) -> Any:
        assert request.prompt is not None
        return self.hands[request.prompt.content].generate(request)


def said(request: GenerateRequest) -> str:
    assert request.prompt is not None
    return f"{request.prompt.content} then more"


async def test_choices_are_in_the_order_of_the_prompts_and_usage_is_the_sum() -> None:
    engine = ScriptedEngine("m", said)
    done = await collect("m", merged("m", engine, requests(n=2)), 6)
    assert [choice.text for choice in done.choices] == [f"{text} then more" for text in TEXTS for _ in range(2)]
    assert done.usage == TokenUsage(1 + 2 + 1, 2 * (3 + 4 + 3), 0)
    assert done.report is None


async def test_the_usage_so_far_is_that_of_all_prompts() -> None:
    engine = ScriptedEngine("m", "one two")
    asked = [replace(request, running_usage="answer", stream_interval=1) for request in requests("a", "b")]
    async with aclosing(merged("m", engine, asked)) as stream:
        *before, last = [delta async for delta in stream]
    counts = [delta.running_usage.completion_tokens or 0 for delta in before]
    assert counts == sorted(counts)
    assert before[-1].running_usage == last.usage


async def test_all_run_at_once_and_pieces_come_as_they_are_made() -> None:
    engine = Hands()
    async with aclosing(merged("m", engine, requests())) as stream:
        first = asyncio.ensure_future(anext(stream))
        for hand in engine.hands.values():
            await hand.asked.wait()
        engine.hands["d"].give(Delta("third"))
        assert await first == Delta("third", 2)
        engine.hands["a"].give(Delta("first"), END, None)
        assert await anext(stream) == Delta("first", 0)
        assert await anext(stream) == Delta("", 0, finish_reason="stop")
        engine.hands["d"].give(END, None)
        assert await anext(stream) == Delta("", 2, finish_reason="stop")
        engine.hands["b c"].give(END, None)
        assert await anext(stream) == Delta("", 1, finish_reason="stop")
        last = await anext(stream)
        assert (last.terminal, last.finish_reason, last.usage) == (True, None, TokenUsage(9, 6, 3))
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_closing_ends_all() -> None:
    engine = Hands()
    stream = merged("m", engine, requests())
    engine.hands["a"].give(Delta("x"))
    assert await anext(stream) == Delta("x")
    await stream.aclose()
    assert all(hand.closed.is_set() for hand in engine.hands.values() if hand.asked.is_set())
    assert engine.hands["a"].closed.is_set()


async def test_the_first_error_ends_all() -> None:
    engine = Hands()
    engine.hands["b c"].give(Delta("x"), Overloaded("Full."))
    with pytest.raises(Overloaded):
        await collect("m", merged("m", engine, requests()))
    assert all(hand.closed.is_set() for hand in engine.hands.values())


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ((Delta("x", 1), END, None), EngineFailed),  # would be the next prompt's
        ((Delta("x"), None), IncompleteGeneration),
        ((END, END, None), IncompleteGeneration),
    ],
)
async def test_the_contract_holds_for_each_prompt(items: tuple[Any, ...], error: type[Exception]) -> None:
    engine = Hands()
    engine.hands["a"].give(*items)
    for text in TEXTS[1:]:
        engine.hands[text].give(END, None)
    with pytest.raises(error):
        await collect("m", merged("m", engine, requests()))


async def test_a_reader_that_stops_slows_the_engines() -> None:
    engine = ScriptedEngine("m", "word " * 1000)
    async with aclosing(merged("m", engine, requests("a", "b"))) as stream:
        await anext(stream)
        for _ in range(500):
            await asyncio.sleep(0)
        assert engine.running == 2


async def test_reasons_name_their_prompts() -> None:
    engine = Hands()
    reports = [
        None,
        Report("team", False, ("reused",), (), TokenUsage(3, 1, 0), TokenUsage(1, 1, 0)),
        Report("team", True, ("late", "cut"), (), TokenUsage(4, 2, 0)),
    ]
    for text, report in zip(TEXTS, reports, strict=True):
        engine.hands[text].give(Delta(finish_reason="stop", usage=TokenUsage(1, None, 0), report=report), None)
    done = await collect("m", merged("m", engine, requests()))
    reasons = ("prompt[1]: reused", "prompt[2]: late", "prompt[2]: cut")
    assert done.report == Report("team", True, reasons, (), TokenUsage(7, 3, 0), TokenUsage(5, 3, 0))
    assert done.usage == TokenUsage(3, None, 0)
