from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.conversation import Message, ToolCall
from serving.engine import checked, collect, complete, delta_of
from serving.engines.model import ModelEngine
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed, IncompleteGeneration, UnsupportedField
from serving.runtime.single_flight import SingleFlight
from serving.types import Choice, Completion, Delta, GenerateRequest, Report, Sampling, Timing, TokenLogprob
from serving.usage import TokenUsage
from tests.support.api import HandEngine

END = Delta(finish_reason="stop", usage=TokenUsage(1, 2, 0))


async def stream(*deltas: Delta | Exception) -> AsyncGenerator[Delta, None]:
    for delta in deltas:
        if isinstance(delta, Exception):
            raise delta
        yield delta


async def test_a_fold_keeps_everything() -> None:
    one, two = TokenLogprob("a", -1.0), TokenLogprob("b", -2.0)
    report = Report("r", False, (), ())
    completion = await collect(
        "m",
        stream(
            Delta("a", 1, (one,)),
            Delta("x", 0),
            Delta("b", 1, (two,), finish_reason="length"),
            Delta("y", 0, None, "stop", TokenUsage(3, 4, 1), Timing(0.1, 0.2, 0.3), report),
        ),
    )
    assert completion == Completion(
        (Choice("xy", "stop"), Choice("ab", "length", (one, two))), TokenUsage(3, 4, 1), Timing(0.1, 0.2, 0.3), report
    )
    assert completion.text == "xy"


async def test_a_whole_answer_as_one_delta_folds_back() -> None:
    call = ToolCall("c", "f", '{"a": 1}')
    choice = Choice("x", "tool_calls", (TokenLogprob("x", -1.0),), "thought", (call, replace(call, id="d")), "stop")
    completion = Completion((choice,), TokenUsage(3, 4, 1), Timing(0.1, 0.2, 0.3), Report("r", False, (), ()), 2)
    assert await collect("m", stream(delta_of(completion))) == completion


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=5))))
async def test_each_choice_is_its_own_text_in_order(pieces: list[tuple[int, str]]) -> None:
    indices = sorted({index for index, _ in pieces} | {0})
    ends = [Delta(index=index, finish_reason="stop") for index in indices[1:]]
    completion = await collect("m", stream(*(Delta(text, index) for index, text in pieces), *ends, END))
    wanted = ["".join(text for index, text in pieces if index == wanted) for wanted in indices]
    assert [choice.text for choice in completion.choices] == wanted


@pytest.mark.parametrize(
    "deltas",
    [
        (),
        (Delta("a"),),
        (Delta("a", finish_reason="stop"),),
        (Delta("a", 1), END),  # choice 1 never finishes
        (END, Delta("a")),
        (END, END),
    ],
)
async def test_a_stream_that_breaks_the_contract_is_an_error(deltas: tuple[Delta, ...]) -> None:
    with pytest.raises(IncompleteGeneration):
        await collect("m", stream(*deltas))


async def test_what_is_checked_passes_unchanged_and_errors_pass_too() -> None:
    assert [delta async for delta in checked("m", stream(Delta("a"), END))] == [Delta("a"), END]
    with pytest.raises(EngineFailed, match="it broke"):
        await collect("m", stream(Delta("a"), EngineFailed("m", "it broke")))


async def test_more_or_fewer_choices_than_asked_are_an_error() -> None:
    assert len((await collect("m", stream(END), 1)).choices) == 1
    for choices in (0, 2):
        with pytest.raises(IncompleteGeneration, match=f"returned 1 choices of {choices}"):
            await collect("m", stream(END), choices)


async def test_closing_what_is_checked_closes_the_stream_below_at_once() -> None:
    engine = ScriptedEngine("m", "a b c")
    deltas = checked("m", engine.generate(GenerateRequest("r", (Message("user", "hi"),))))
    await anext(deltas)
    assert engine.running == 1
    await deltas.aclose()
    assert engine.running == 0


async def test_a_lost_count_is_not_zero() -> None:
    lost = TokenUsage(1, None, 0)
    assert lost.total_tokens is None
    assert lost + TokenUsage(1, 1, 1) == TokenUsage(2, None, 1)
    assert TokenUsage(1, 2, 0) + TokenUsage(3, 4, 5) == TokenUsage(4, 6, 5)


async def test_complete_closes_the_stream_that_fails() -> None:
    engine = ScriptedEngine("m", "a b c", cut_after=1)
    with pytest.raises(IncompleteGeneration, match="The engine of 'm' failed"):
        await complete("m", engine, GenerateRequest("r", (Message("user", "hi"),)))
    assert engine.running == 0


@pytest.mark.parametrize(
    ("sampling", "same"),
    [
        (Sampling(), False),
        (Sampling(temperature=0), True),
        (Sampling(seed=0), True),
        (Sampling(temperature=0, n=2), False),
        (Sampling(temperature=0.1), False),
    ],
)
def test_which_calls_must_give_the_same_text(sampling: Sampling, same: bool) -> None:
    assert sampling.deterministic is same


async def test_an_engine_without_a_tokenizer_cannot_count() -> None:
    with pytest.raises(UnsupportedField, match="cannot be counted"):
        await HandEngine().count_tokens(GenerateRequest("r", ()))
    counting = ModelEngine("m", ScriptedEngine(), SingleFlight())
    assert await counting.count_tokens(GenerateRequest("r", (Message("user", "a b"),))) == 6
