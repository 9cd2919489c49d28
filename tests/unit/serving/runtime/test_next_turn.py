"""Prefill of the prompt that follows tool calls: a prefix of what is asked next, and only where that is known."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.conversation import Message, Thinking, Tool, ToolCall, ToolChoice
from serving.engine import complete
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.runtime.prefill import PRIORITY
from serving.types import Completion, GenerateRequest, MoaOptions, Sampling
from tests.support.api import END, HandEngine

Trio = dict[str, ScriptedEngine]
Make = Callable[..., Orchestrator]
Ask = Callable[..., GenerateRequest]
TOOLS = (Tool("look"), Tool("count"))
CALLS = (ToolCall("c1", "look", '{"at": 1}'), ToolCall("c2", "count", "{}"))


@pytest.fixture
def team(orchestrate: Make, trio: Trio) -> Callable[..., Orchestrator]:
    """A function that makes an orchestrator whose final agent calls tools until it has read a result."""

    def make(calls: tuple[ToolCall, ...] = CALLS, **changes: Any) -> Orchestrator:
        def answer(request: GenerateRequest) -> str | ScriptedAnswer:
            done = any(message.role == "tool" for message in request.messages)
            return "done" if done or not request.tools else ScriptedAnswer("I look.", "Hm.", calls)

        trio["a"].answer, trio["a"].tools, trio["a"].thinking = answer, True, True
        return orchestrate(layers=[["b", "c"]], **{"prefill": "on_complete", **changes})

    return make


def acting(asked: GenerateRequest, **changes: Any) -> GenerateRequest:
    return replace(asked, **{"tools": TOOLS, "session": "s", **changes})


def after(request: GenerateRequest, done: Completion, *results: str) -> GenerateRequest:
    """The client's next request."""
    [choice] = done.choices
    said = Message("assistant", choice.text, tool_calls=choice.tool_calls)
    turns = [Message("tool", text, tool_call_id=call.id) for call, text in zip(choice.tool_calls, results, strict=True)]
    return replace(request, messages=(*request.messages, said, *turns))


async def prefilled(trio: Trio) -> list[tuple[GenerateRequest, str]]:
    """Prefills of the next turn."""
    for _ in range(10):
        await asyncio.sleep(0)
    return [(request, marker) for request, marker in trio["a"].prefills if request.request_id.endswith("-next")]


def flat(request: GenerateRequest) -> str:
    return "\n".join(
        f"<{one.role} {one.name} {one.reasoning} {one.tool_calls} {one.tool_call_id}>{one.content}"
        for one in request.messages
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    layout=st.sampled_from(["paper", "references_last"]),
    system=st.sampled_from([None, "You decide."]),
    own_system=st.booleans(),
    history=st.booleans(),
    calls=st.sampled_from([CALLS, CALLS[:1]]),
    choice=st.sampled_from([ToolChoice(), ToolChoice("required"), ToolChoice("named", "look")]),
    results=st.lists(st.text(max_size=20), min_size=2, max_size=2),
)
async def test_it_is_a_prefix_of_the_next_prompt(
    team: Make,
    trio: Trio,
    ask: Ask,
    layout: str,
    system: str | None,
    own_system: bool,
    history: bool,
    calls: tuple[ToolCall, ...],
    choice: ToolChoice,
    results: list[str],
) -> None:
    trio["a"].requests, trio["a"].prefills = [], []
    one = team(calls, layout=layout, aggregator={"model": "a", "system": system})
    before = [Message("system", "Be brief.")] * own_system + [
        Message("user", "Hi"),
        Message("assistant", "Hello"),
    ] * history
    first = acting(ask(), messages=(*before, *ask().messages), tool_choice=choice, thinking=Thinking(True, "low"))
    done = await complete("team", one.engines["team"], first)
    [(ahead, marker)] = await prefilled(trio)
    second = replace(after(first, done, *results[: len(calls)]), tool_choice=ToolChoice())
    await complete("team", one.engines["team"], second)
    real = trio["a"].requests[-1]
    known, found, _ = flat(ahead).partition(marker)
    assert found
    assert flat(real).startswith(known)
    assert len(known) > len(flat(trio["a"].requests[0]))
    fields = ("tools", "tool_choice", "thinking", "template_args", "session", "references", "parallel_tool_calls")
    assert [getattr(ahead, name) for name in fields] == [getattr(real, name) for name in fields]
    assert (ahead.priority, ahead.streaming) == (PRIORITY, False)


async def test_its_tokens_are_not_the_callers(team: Make, trio: Trio, ask: Ask) -> None:
    with_it = await complete("team", team().engines["team"], acting(ask()))
    assert len(await prefilled(trio)) == 1
    without = await complete("team", team(next_turn_prefill_s=0).engines["team"], acting(ask()))
    assert with_it.usage == without.usage
    assert len(await prefilled(trio)) == 1


@pytest.mark.parametrize("changes", [{"prefill": "off"}, {"next_turn_prefill_s": 0}, {"advise": "every_turn"}])
async def test_a_recipe_may_switch_it_off_or_make_the_next_prompt_unknown(
    team: Make, trio: Trio, ask: Ask, changes: dict[str, Any]
) -> None:
    await complete("team", team(**changes).engines["team"], acting(ask()))
    assert await prefilled(trio) == []


async def test_advice_that_will_be_made_again_is_not_prefilled(team: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].error = EngineFailed("b", "bad")
    done = await complete("team", team().engines["team"], acting(ask()))
    assert done.report is not None
    assert done.report.degraded
    assert await prefilled(trio) == []


async def test_references_that_were_cut_are_cut_again_elsewhere(team: Make, trio: Trio, ask: Ask) -> None:
    trio["b"].answer = "word " * 500
    trio["a"].context_tokens = 400
    done = await complete("team", team().engines["team"], acting(ask()))
    assert done.choices[0].tool_calls
    assert await prefilled(trio) == []


@pytest.mark.parametrize("changes", [{"session": None}, {"tools": ()}])
async def test_nothing_follows_an_answer_without_calls_or_a_session(
    team: Make, trio: Trio, ask: Ask, changes: dict[str, Any]
) -> None:
    await complete("team", team().engines["team"], acting(ask(), **changes))
    assert await prefilled(trio) == []


async def test_an_answer_without_references_is_followed_too(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["a"].tools = ScriptedAnswer(tool_calls=CALLS), True
    recipe = {"id": "team", "strategy": "cascade", "first": "b", "escalate": "a"}
    await complete("team", Orchestrator(trio, load_recipes([recipe])).engines["team"], acting(ask()))
    assert len(await prefilled(trio)) == 1


async def test_the_next_request_ends_it(team: Make, trio: Trio, ask: Ask) -> None:
    started, ended = [], []

    async def slow(request: GenerateRequest, _: str) -> None:
        if not request.request_id.endswith("-next"):
            return
        started.append(request)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(request)

    trio["a"].on_prefill = slow
    one, first = team(), acting(ask())
    done = await complete("team", one.engines["team"], first)
    await prefilled(trio)
    assert (len(started), len(ended), len(one.runtime.session_tasks)) == (1, 0, 1)
    await complete("team", one.engines["team"], acting(ask("What else?"), session="other", tools=()))
    assert not ended
    await complete("team", one.engines["team"], after(first, done, "1", "2"))
    assert (len(started), len(ended), len(one.runtime.session_tasks)) == (1, 1, 0)


async def test_a_failure_is_counted_and_nothing_else(
    team: Make, trio: Trio, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(request: GenerateRequest, _: str) -> None:
        if request.request_id.endswith("-next"):
            raise EngineFailed("a", "bad")

    trio["a"].on_prefill = broken
    one = team()
    counted: list[tuple[object, ...]] = []
    monkeypatch.setattr(one.runtime.observer, "prefilled", lambda *args: counted.append(args))
    done = await complete("team", one.engines["team"], acting(ask()))
    assert done.choices[0].tool_calls == CALLS
    await prefilled(trio)
    assert counted[-1] == ("team", "a", "next_turn", False)


# Single models


def single(trio: Trio, **changes: Any) -> Orchestrator:
    trio["a"].answer, trio["a"].tools = ScriptedAnswer("I look.", "Hm.", CALLS), True
    return Orchestrator(trio, {}, **changes)


@pytest.mark.parametrize(
    "changes",
    [{}, {"stream_interval": None}, {"stream_interval": None, "sampling": Sampling(temperature=0)}],
    ids=["streamed", "whole", "shared"],
)
@pytest.mark.parametrize("trace", [False, True])
async def test_a_single_models_next_prompt_is_prefilled(
    trio: Trio, ask: Ask, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], trace: bool
) -> None:
    one = single(trio)
    counted: list[tuple[object, ...]] = []
    monkeypatch.setattr(one.runtime.observer, "prefilled", lambda *args: counted.append(args))
    first = acting(ask(), **changes, moa=MoaOptions(trace=trace))
    done = await complete("a", one.engines["a"], first)
    assert done.choices[0].tool_calls == CALLS
    [(ahead, marker)] = await prefilled(trio)
    assert counted == [("none", "a", "next_turn", True)]
    await complete("a", one.engines["a"], after(first, done, "1", "2"))
    real = trio["a"].requests[-1]
    known, found, _ = flat(ahead).partition(marker)
    assert found
    assert flat(real).startswith(known)
    assert len(known) > len(flat(trio["a"].requests[0]))
    assert (ahead.tools, ahead.session, ahead.priority) == (real.tools, real.session, PRIORITY)


@pytest.mark.parametrize(
    "changes", [{"session": None}, {"tools": ()}, {"tool_choice": ToolChoice("none")}, {"sampling": Sampling(n=2)}]
)
async def test_nothing_follows_a_single_models_answer_that_is_not_continued_by_calls(
    trio: Trio, ask: Ask, changes: dict[str, Any]
) -> None:
    one = single(trio)
    await complete("a", one.engines["a"], acting(ask(), **changes))
    assert await prefilled(trio) == []


async def test_the_profile_may_switch_it_off_for_single_models(trio: Trio, ask: Ask) -> None:
    await complete("a", single(trio, next_turn_prefill_s=0).engines["a"], acting(ask()))
    assert await prefilled(trio) == []


async def test_the_next_request_to_a_single_model_ends_it(trio: Trio, ask: Ask) -> None:
    async def forever(_: GenerateRequest, __: str) -> None:
        await asyncio.Event().wait()

    one, first = single(trio), acting(ask())
    trio["a"].on_prefill = forever
    done = await complete("a", one.engines["a"], first)
    await prefilled(trio)
    assert len(one.runtime.session_tasks) == 1
    await complete("a", one.engines["a"], replace(after(first, done, "1", "2"), tools=()))
    assert len(one.runtime.session_tasks) == 0


async def test_leaving_a_stream_that_is_followed_closes_the_engines(ask: Ask) -> None:
    engine = HandEngine()
    engine.give(END)
    stream = Orchestrator({"a": engine}, {}).engines["a"].generate(acting(ask()))
    await anext(stream)
    await stream.aclose()
    assert engine.closed.is_set()
