"""Events of runs over scripted engines: what happened, in order, and nothing if nobody watches."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from serving.engine import collect
from serving.engines.scripted import ScriptedAnswer
from serving.errors import EngineFailed, EngineUnavailable, InvalidRequest, QuorumNotReached
from serving.events import AgentEvent, AgentText, EventDelta, RunEvent
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.runtime.events import RunEvents
from serving.types import Delta, GenerateRequest
from serving.usage import TokenUsage
from tests.support.recipes import TEAM, Ask, RecipeSource, Trio


def orchestrated(trio: Trio, recipe: RecipeSource = "moa-lite") -> tuple[str, Orchestrator]:
    served = load_recipes([recipe], TEAM)
    return next(iter(served)), Orchestrator(trio, served)


async def watched(trio: Trio, request: GenerateRequest, recipe: RecipeSource = "moa-lite") -> list[RunEvent | Delta]:
    """Events and deltas in order; no engine runs afterwards."""
    name, orchestrator = orchestrated(trio, recipe)
    found: list[RunEvent | Delta] = []
    async for delta in orchestrator.engines[name].generate(replace(request, stream_interval=1)):
        found.extend(delta.events if isinstance(delta, EventDelta) else [delta])
    assert all(engine.running == 0 for engine in trio.values())
    return found


def names(found: list[Any], agent: tuple[int, int] | None = None) -> list[str]:
    def place(event: RunEvent) -> tuple[int, int]:
        return getattr(event, "layer", 0), getattr(event, "agent", -1)

    events = [event for event in found if isinstance(event, RunEvent)]
    return [event.name for event in events if agent is None or place(event) == agent]


def of(found: list[Any], name: str) -> list[Any]:
    return [event for event in found if isinstance(event, RunEvent) and event.name == name]


LAYERED = {"id": "team", "layers": [["a", "b", "c"]], "aggregator": "a", "prefill": "off"}


async def test_each_agent_starts_writes_and_finishes_and_the_layer_ends_before_the_answer(trio: Trio, ask: Ask):
    found = await watched(trio, ask(options={"events": True}))
    assert names(found)[:2] == ["run_started", "layer_started"]
    for agent in ((1, 0), (1, 1), (1, 2), (2, 0)):
        assert names(found, agent) == ["agent_started", "agent_first_token", "agent_finished"]
    (layer,) = of(found, "layer_finished")
    assert (layer.layer, layer.usable, layer.stragglers) == (1, 3, ())
    first_answer = next(place for place, item in enumerate(found) if isinstance(item, Delta))
    assert found.index(layer) < first_answer
    assert [event.answers for event in of(found, "agent_started")] == [False, False, False, True]
    times = [event.at_s for event in found if isinstance(event, RunEvent)]
    assert times == sorted(times)


async def test_without_text_events_have_none(trio: Trio, ask: Ask):
    found = await watched(trio, ask(options={"events": True}))
    assert all(event.trace.text == "" for event in of(found, "agent_finished"))
    assert of(found, "agent_text") == []


async def test_the_text_of_proposals_and_not_that_of_the_answer(trio: Trio, ask: Ask):
    trio["b"].answer = ScriptedAnswer("b says much", reasoning="thinks first")
    found = await watched(trio, ask(options={"events": "text"}))
    for slot, name in enumerate("abc"):
        pieces = [event for event in of(found, "agent_text") if (event.layer, event.agent) == (1, slot)]
        finished = next(event for event in of(found, "agent_finished") if (event.layer, event.agent) == (1, slot))
        assert "".join(piece.text for piece in pieces) == finished.trace.text
        assert finished.trace.text.startswith(f"{name} says")
        assert "".join(piece.reasoning for piece in pieces) == finished.trace.reasoning
    assert all(event.layer == 1 for event in of(found, "agent_text"))
    assert of(found, "agent_finished")[-1].trace.text == ""


async def test_watching_changes_neither_answer_nor_usage(trio: Trio, ask: Ask):
    name, orchestrator = orchestrated(trio)
    engine = orchestrator.engines[name]
    plain = await collect(name, engine.generate(replace(ask(), stream_interval=1)))
    watching = await collect(name, engine.generate(replace(ask(options={"events": "text"}), stream_interval=1)))
    assert (watching.text, watching.usage) == (plain.text, plain.usage)


async def test_agents_of_one_call_have_their_own_events(trio: Trio, ask: Ask):
    recipe = {**LAYERED, "layers": [[{"model": "a", "repeat": 2}]], "aggregator": "b"}
    found = await watched(trio, ask(options={"events": "text"}), recipe)
    assert len(trio["a"].requests) == 1
    for agent in ((1, 0), (1, 1)):
        assert list(dict.fromkeys(names(found, agent))) == [
            *("agent_started", "agent_first_token", "agent_text", "agent_finished")
        ]


async def test_a_failing_agent_is_finished_with_its_reason(trio: Trio, ask: Ask):
    trio["b"].error = EngineFailed("b", "out of memory")
    found = await watched(trio, ask(options={"events": True}))
    (failed,) = [event.trace for event in of(found, "agent_finished") if event.model == "b"]
    assert failed.status == "failed"
    assert "out of memory" in failed.error
    assert any(
        event.degrades and event.reason == "'b' (proposer, layer 1) failed." for event in of(found, "reason_added")
    )


async def test_a_straggler_is_cut_off_with_its_layer(trio: Trio, ask: Ask):
    trio["c"].hang = True
    found = await watched(trio, ask(options={"events": True, "min_proposals": 2, "straggler_grace_s": 0}), LAYERED)
    assert of(found, "layer_finished")[0].stragglers == (2,)
    assert names(found, (1, 2)) == ["agent_started", "agent_finished"]
    assert of(found, "layer_started")[0].needed == 2


async def test_a_refill_names_both_models(trio: Trio, ask: Ask):
    trio["b"].error = EngineFailed("b", "gone")
    found = await watched(trio, ask(options={"events": True, "refill": True}), LAYERED)
    (refill,) = of(found, "agent_refilled")
    assert (refill.replaces, refill.model, refill.agent) == ("b", "c", 1)
    assert names(found, (1, 1)) == [
        *("agent_started", "agent_finished", "agent_refilled"),
        *("agent_started", "agent_first_token", "agent_finished"),
    ]


async def test_a_retried_call_begins_again(trio: Trio, ask: Ask):
    lost = [True]

    async def lose_once(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        async with aclosing(stream):
            async for delta in stream:
                yield delta
                if lost and lost.pop():
                    raise EngineUnavailable("b", "its replica was lost")

    trio["b"].intercept = lose_once
    found = await watched(trio, ask(options={"events": "text"}), LAYERED)
    assert names(found, (1, 1)) == [
        *("agent_started", "agent_first_token", "agent_text", "agent_retried"),
        *("agent_first_token", "agent_text", "agent_finished"),
    ]


async def test_a_fallback_starts_after_the_final_agent_failed(trio: Trio, ask: Ask):
    def answer(request: GenerateRequest) -> str:
        if request.request_id.startswith("r1-2"):
            raise EngineFailed("a", "gone")
        return "a says"

    trio["a"].answer = answer
    found = await watched(trio, ask(options={"events": True}), LAYERED)
    events = [event for event in found if isinstance(event, AgentEvent)]
    final = [(event.name, event.model) for event in events if event.layer == 2]
    assert final == [
        *(("agent_started", "a"), ("agent_finished", "a")),
        *(("agent_started", "b"), ("agent_first_token", "b"), ("agent_finished", "b")),
    ]


async def test_a_caller_that_leaves_ends_the_work_of_all_engines(trio: Trio, ask: Ask):
    for engine in trio.values():
        engine.hang = True
    name, orchestrator = orchestrated(trio, LAYERED)
    stream = orchestrator.engines[name].generate(replace(ask(options={"events": True}), stream_interval=1))
    assert isinstance(await anext(stream), EventDelta)
    for _ in range(10):
        await asyncio.sleep(0)
    assert [engine.running for engine in trio.values()] == [1, 1, 1]
    await stream.aclose()
    assert [engine.running for engine in trio.values()] == [0, 0, 0]
    assert [engine.cancelled for engine in trio.values()] == [1, 1, 1]


async def test_a_refused_request_has_no_event(trio: Trio, ask: Ask):
    with pytest.raises(InvalidRequest):
        await watched(trio, ask(options={"events": True, "layers": 99}))


async def test_the_error_of_a_run_follows_its_events(trio: Trio, ask: Ask):
    for engine in trio.values():
        engine.error = EngineFailed(engine.model, "gone")
    name, orchestrator = orchestrated(trio)
    seen: list[str] = []

    async def read() -> None:
        stream = orchestrator.engines[name].generate(replace(ask(options={"events": True}), stream_interval=1))
        async for delta in stream:
            seen.extend(event.name for event in delta.events)

    with pytest.raises(QuorumNotReached):
        await read()
    assert seen.count("agent_finished") == 3


async def test_unread_pieces_of_one_agent_become_one():
    events = RunEvents("text")
    for agent, text in ((0, "one "), (1, "three"), (0, "two")):
        events.agent(AgentText(0.0, 1, agent, "a", "proposer", text, ""))

    async def nothing() -> AsyncGenerator[Delta, None]:
        yield Delta(finish_reason="stop", usage=TokenUsage())

    (first, _) = [delta async for delta in events.merged(nothing())]
    assert [event.text for event in first.events] == ["one two", "three"]


async def test_a_slow_reader_slows_the_answer_down(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("serving.runtime.events.MAX_WAITING", 3)
    made: list[int] = []

    async def many() -> AsyncGenerator[Delta, None]:
        for count in range(20):
            made.append(count)
            yield Delta(str(count))
        yield Delta(finish_reason="stop", usage=TokenUsage())

    stream = RunEvents("text").merged(many())
    first = await anext(stream)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(made) <= 8
    rest = [delta.text async for delta in stream]
    assert [first.text, *rest] == [*map(str, range(20)), ""]
