"""Empty answers: an answer of the final agent, unless nothing was generated; no use as a proposal."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from serving.conversation import Message, Tool, ToolCall, ToolCallDelta, ToolChoice
from serving.decoding import Decoding
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed, QuorumNotReached
from serving.runtime.emptiness import ended_by_itself, is_proposal, stopped_at_once, was_generated
from serving.types import Choice, Completion, Delta, GenerateRequest, Sampling
from serving.usage import TokenUsage
from tests.support.recipes import Ask, Trio, reasons, run

LAYERED: dict[str, Any] = {"id": "team", "layers": [["b", "c"]], "aggregator": "a", "prefill": "off"}
REQUEST = GenerateRequest("r", (Message("user", "Why?"),))
STOP = Sampling(stop=("a",))


def ends_with(engine: ScriptedEngine, *deltas: Delta, tokens: int | None = 1) -> None:
    """Have `engine` answer with `deltas`, the last of which gets the usage."""

    async def stream(request: GenerateRequest, _: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        *first, last = deltas
        for index in range(request.sampling.n):
            for delta in first:
                yield replace(delta, index=index)
            usage = TokenUsage(3, tokens, 0) if index == request.sampling.n - 1 else None
            yield replace(last, index=index, usage=usage)

    engine.intercept = stream


def degraded(done: Completion) -> bool:
    assert done.report is not None
    return done.report.degraded


# -- the final agent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [1, None])
@pytest.mark.parametrize(
    ("last", "tokens"),
    [
        (Delta(finish_reason="stop", stop="a"), 1),  # the caller's own stop at the first character
        (Delta(finish_reason="stop", stop="a"), None),  # of an endpoint that does not count
        (Delta(finish_reason="stop"), 1),  # the end token at once
        (Delta(finish_reason="length"), 1),  # a token that is part of a character
        (Delta(finish_reason="length"), None),
        (Delta(finish_reason="content_filter"), 0),
        (Delta(finish_reason="stop", reasoning="Hm."), 2),
        (Delta(finish_reason="length", reasoning="Hm."), 2),
        (Delta(" ", finish_reason="stop"), 1),
    ],
)
async def test_an_empty_answer_of_the_final_agent_is_the_answer(
    trio: Trio, ask: Ask, last: Delta, tokens: int | None, interval: int | None
) -> None:
    ends_with(trio["a"], last, tokens=tokens)
    request = replace(ask(stop=("a",) if last.stop else ()), stream_interval=interval)
    done = await run(trio, request, LAYERED)
    [choice] = done.choices
    assert (choice.text, choice.reasoning, choice.finish_reason) == (last.text, last.reasoning, last.finish_reason)
    assert choice.stop == last.stop
    assert [len(trio[name].requests) for name in "abc"] == [1, 1, 1]  # nobody else was asked to answer
    assert not degraded(done)


@pytest.mark.parametrize("interval", [1, None])
@pytest.mark.parametrize("tokens", [0, None])
async def test_an_agent_that_generated_nothing_is_replaced(
    trio: Trio, ask: Ask, tokens: int | None, interval: int | None
) -> None:
    ends_with(trio["a"], Delta(finish_reason="stop"), tokens=tokens)
    done = await run(trio, replace(ask(), stream_interval=interval), {**LAYERED, "fallbacks": ["c"]})
    assert done.text == "c says 2"
    assert "'a' (aggregator, layer 2) gave an empty answer." in reasons(done)


async def test_where_tokens_are_not_counted_the_callers_stop_explains_an_empty_answer(trio: Trio, ask: Ask) -> None:
    ends_with(trio["a"], Delta(finish_reason="stop"), tokens=None)
    assert (await run(trio, ask(stop=("a",)), LAYERED)).text == ""


async def test_a_model_that_ends_at_once_is_told(trio: Trio, ask: Ask) -> None:
    ends_with(trio["a"], Delta(finish_reason="stop"))
    assert reasons(await run(trio, ask(), LAYERED)) == "The model ended its answer at once: it is empty."
    assert reasons(await run(trio, ask(stop=("a",)), LAYERED)) == ""


async def test_calls_alone_are_an_answer_and_text_is_none_where_a_call_is_required(trio: Trio, ask: Ask) -> None:
    tools = replace(ask(), tools=(Tool("look"),), tool_choice=ToolChoice("required"))
    trio["a"].tools = True
    ends_with(trio["a"], Delta(tool_calls=(ToolCallDelta(0, "c1", "look", "{}"),), finish_reason="tool_calls"))
    done = await run(trio, tools, LAYERED)
    assert [call.name for call in done.choices[0].tool_calls] == ["look"]
    ends_with(trio["a"], Delta(finish_reason="stop"))
    with pytest.raises(EngineFailed):
        await run(trio, tools, {**LAYERED, "fallbacks": []})


# -- proposals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last",
    [
        Delta(finish_reason="stop"),
        Delta(" \n", finish_reason="length"),
        Delta(finish_reason="length", reasoning="Hm."),
        Delta(finish_reason="content_filter"),
    ],
)
async def test_an_empty_proposal_is_no_use(trio: Trio, ask: Ask, last: Delta) -> None:
    ends_with(trio["b"], last)
    assert (await run(trio, ask(), LAYERED)).text == "a says 1"
    with pytest.raises(QuorumNotReached):
        await run(trio, ask(), {**LAYERED, "min_proposals": 2})


@pytest.mark.parametrize("strategy", ["vote", "rank", "adaptive"])
async def test_proposals_that_the_callers_stop_ends_at_once_are_an_empty_answer(
    trio: Trio, ask: Ask, strategy: str
) -> None:
    for engine in trio.values():
        ends_with(engine, Delta(finish_reason="stop", stop="a"))
    more = {"rank": {"judge": "c"}, "adaptive": {"aggregator": "c"}}.get(strategy, {})
    team = {"id": "x", "strategy": strategy, "proposers": ["a", "b"], "min_proposals": 2, **more}
    done = await run(trio, ask(stop=("a",)), team)
    assert (done.text, done.choices[0].finish_reason) == ("", "stop")


async def test_a_vote_counts_empty_answers_that_the_caller_asked_for(trio: Trio, ask: Ask) -> None:
    ends_with(trio["a"], Delta(finish_reason="stop", stop="x"))
    ends_with(trio["b"], Delta(finish_reason="stop", stop="x"))
    team = {"id": "x", "strategy": "vote", "proposers": ["c", "a", "b"]}
    done = await run(trio, ask(stop=("x",)), team)
    assert (done.text, degraded(done)) == ("", False)


async def test_drafts_that_the_callers_stop_ends_at_once_are_an_empty_answer(trio: Trio, ask: Ask) -> None:
    for engine in trio.values():
        engine.tools = True
        ends_with(engine, Delta(finish_reason="stop", stop="a"))
    request = replace(ask(stop=("a",)), tools=(Tool("look"),))
    done = await run(trio, request, {**LAYERED, "tools": "vote", "min_proposals": 2, "refill": True})
    assert (done.text, done.choices[0].finish_reason) == ("", "stop")
    assert [len(trio[name].requests) for name in "abc"] == [0, 1, 1]


# -- the definitions --------------------------------------------------------------------------------------------------


def test_definitions() -> None:
    call = ToolCall("c1", "look", "{}")
    with_tools = replace(REQUEST, tools=(Tool("look"),))
    assert is_proposal(Choice("text", "stop"), REQUEST)
    assert is_proposal(Choice("", "tool_calls", tool_calls=(call,)), with_tools)
    assert not is_proposal(Choice("", "tool_calls", tool_calls=(call,)), REQUEST)
    assert not is_proposal(Choice(" ", "stop", reasoning="Hm."), REQUEST)
    assert stopped_at_once(Choice("", "stop", stop="a"), STOP, None)
    assert stopped_at_once(Choice("", "stop"), Sampling(decoding=Decoding(stop_token_ids=(5,))), 1)
    assert not stopped_at_once(Choice("", "stop"), STOP, 0)
    assert not stopped_at_once(Choice("", "stop"), Sampling(), 1)
    assert not stopped_at_once(Choice("", "length"), STOP, 1)
    assert not stopped_at_once(Choice("b", "stop", stop="a"), STOP, 2)
    assert was_generated(Delta(finish_reason="stop", usage=TokenUsage(1, 1)), Sampling())
    assert not was_generated(Delta(finish_reason="length", usage=TokenUsage(1, 0)), STOP)
    assert not was_generated(Delta(finish_reason="stop"), Sampling())
    assert ended_by_itself(Delta(finish_reason="stop"), Sampling())
    assert not ended_by_itself(Delta(finish_reason="stop"), STOP)
    assert not ended_by_itself(Delta(finish_reason="content_filter"), Sampling())
