"""Single models: priorities, shared answers, traces, and the engine's own properties."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from serving.conversation import Tool, ToolCall
from serving.engine import Engine, EngineInfo, collect, complete
from serving.engines.model import ModelEngine
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.runtime.fair_queue import PRIORITIES_PER_REQUEST
from serving.runtime.shared_state import Runtime
from serving.types import Delta, GenerateRequest, MoaOptions, Report
from tests.support.api import END, HandEngine, degraded_end

Ask = Callable[..., GenerateRequest]


def traced(engine: Engine, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
    """The stream of a single model whose caller asks for a trace."""
    return ModelEngine("m", engine, Runtime({})).generate(replace(request, moa=MoaOptions(trace=True)))


async def test_a_request_ranks_with_the_first_layer_of_a_recipe_of_its_priority(ask: Ask) -> None:
    engine = ScriptedEngine("m")
    model = ModelEngine("m", engine, Runtime({}))
    for interval in (None, 1):
        await complete("m", model, replace(ask(), priority=3, stream_interval=interval))
    assert [request.priority for request in engine.requests] == [3 * PRIORITIES_PER_REQUEST] * 2


async def test_whole_deterministic_answers_are_computed_once_and_streams_for_each_caller(ask: Ask) -> None:
    engine = ScriptedEngine("m", "a b", ttft_s=0.001)
    model = ModelEngine("m", engine, Runtime({}))
    whole = replace(ask(temperature=0), stream_interval=None)
    answers = await asyncio.gather(*(complete("m", model, whole) for _ in range(3)))
    assert {answer.text for answer in answers} == {"a b"}
    assert answers[0].usage.completion_tokens == 2
    assert len(engine.requests) == 1
    await asyncio.gather(*(complete("m", model, replace(whole, stream_interval=1)) for _ in range(3)))
    await asyncio.gather(*(complete("m", model, replace(ask(), stream_interval=None)) for _ in range(3)))
    assert len(engine.requests) == 7


async def test_properties_prefill_and_health_are_the_engines(ask: Ask) -> None:
    engine = ScriptedEngine("m", context_tokens=100, replicas=2, unsupported=frozenset({"n"}))
    model = ModelEngine("m", engine, Runtime({}))
    assert model.info == EngineInfo(100, 2, frozenset({"n"}), raw_prompts=True, provider="scripted")
    await model.prefill(ask(), "marker")
    assert [marker for _, marker in engine.prefills] == ["marker"]
    await model.check_health()


async def test_a_trace_has_the_first_choice_alone(ask: Ask) -> None:
    engine = ScriptedEngine("m", "a b")
    done = await collect("m", traced(engine, ask(n=2)))
    assert done.report is not None
    assert (done.report.recipe, done.report.degraded, done.report.reasons) == ("m", False, ())
    [agent] = done.report.agents
    assert (agent.layer, agent.agent, agent.role, agent.model, agent.status) == (1, 0, "model", "m", "ok")
    assert (agent.text, agent.usage) == ("a b", done.usage)
    assert agent.timing == done.timing


async def test_a_report_that_is_there_already_is_kept(ask: Ask) -> None:
    engine = HandEngine()
    engine.give(degraded_end("b was late."), None)
    done = await collect("m", traced(engine, ask()))
    assert done.report == Report("team", True, ("b was late.",), ())


async def test_leaving_a_traced_stream_closes_the_engines(ask: Ask) -> None:
    engine = HandEngine()
    engine.give(END)
    stream = traced(engine, ask())
    await anext(stream)
    await stream.aclose()
    assert engine.closed.is_set()


async def test_reasoning_and_tool_calls_are_in_shared_answers_and_in_traces(ask: Ask) -> None:
    calls = (ToolCall("c1", "add", '{"a": 1}'), ToolCall("c2", "add", "{}"))
    engine = ScriptedEngine("m", ScriptedAnswer("", "Let me think.", calls), tools=True)
    asked = replace(ask(temperature=0), tools=(Tool("add"),))
    for interval in (None, 1):
        done = await collect("m", traced(engine, replace(asked, stream_interval=interval)))
        [choice] = done.choices
        assert (choice.reasoning, choice.tool_calls, choice.finish_reason) == ("Let me think.", calls, "tool_calls")
        assert done.report is not None
        [agent] = done.report.agents
        assert (agent.reasoning, agent.tool_calls) == ("Let me think.", calls)
