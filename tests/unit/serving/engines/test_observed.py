"""Observed engines: one start and one end per request, whichever way it ends."""

import asyncio
from collections.abc import Callable

import pytest

from serving.engine import EngineInfo, collect
from serving.engines.observed import ObservedEngine
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed, EngineUnavailable
from serving.telemetry import Observer, RequestEnd
from serving.types import Delta, GenerateRequest
from serving.usage import TokenUsage
from tests.support.api import END, HandEngine, degraded_end

Ask = Callable[..., GenerateRequest]


class RecordingObserver(Observer):
    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[RequestEnd] = []

    def request_started(self, model: str) -> None:
        self.started.append(model)

    def request_ended(self, end: RequestEnd) -> None:
        self.ended.append(end)


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
def engine() -> HandEngine:
    return HandEngine()


async def test_a_request_that_ends_is_reported_with_its_usage(
    observer: RecordingObserver, engine: HandEngine, ask: Ask
) -> None:
    engine.give(Delta("a"), END, None)
    stream = ObservedEngine("m", "model", engine, observer).generate(ask())
    assert observer.started == []  # nothing runs before the first read
    await collect("m", stream)
    [end] = observer.ended
    assert (observer.started, end.model, end.kind, end.outcome, end.degraded) == (["m"], "m", "model", "ok", False)
    assert end.usage == END.usage
    assert end.ttft_s is not None
    assert 0 <= end.ttft_s <= end.total_s


async def test_a_degraded_answer_is_reported_as_one(observer: RecordingObserver, engine: HandEngine, ask: Ask) -> None:
    engine.give(degraded_end("b was late."), None)
    await collect("team", ObservedEngine("team", "recipe", engine, observer).generate(ask()))
    assert [(end.kind, end.outcome, end.degraded, end.usage) for end in observer.ended] == [
        ("recipe", "ok", True, TokenUsage(1, 1, 0))
    ]


@pytest.mark.parametrize(
    ("error", "code"), [(EngineFailed("m", "it broke"), "engine_failed"), (ValueError("defect"), "internal_error")]
)
async def test_an_error_is_reported_and_raised(
    observer: RecordingObserver, engine: HandEngine, ask: Ask, error: Exception, code: str
) -> None:
    engine.give(Delta("a"), error)
    with pytest.raises(type(error)):
        await collect("m", ObservedEngine("m", "model", engine, observer).generate(ask()))
    assert [(end.outcome, end.usage) for end in observer.ended] == [(code, None)]


async def test_a_caller_that_leaves_cancels_the_request(
    observer: RecordingObserver, engine: HandEngine, ask: Ask
) -> None:
    engine.give(Delta("a"))
    stream = ObservedEngine("m", "model", engine, observer).generate(ask())
    await anext(stream)
    await stream.aclose()
    assert [end.outcome for end in observer.ended] == ["cancelled"]
    assert engine.closed.is_set()


async def test_a_cancelled_task_cancels_the_request(observer: RecordingObserver, engine: HandEngine, ask: Ask) -> None:
    task = asyncio.create_task(collect("m", ObservedEngine("m", "model", engine, observer).generate(ask())))
    await engine.asked.wait()
    task.cancel()
    await asyncio.wait({task})
    assert [(end.outcome, end.ttft_s) for end in observer.ended] == [("cancelled", None)]
    assert engine.closed.is_set()


async def test_properties_prefill_and_health_are_the_engines(observer: RecordingObserver, ask: Ask) -> None:
    engine = ScriptedEngine("m", context_tokens=100, replicas=2, healthy=False)
    observed = ObservedEngine("m", "model", engine, observer)
    assert observed.info == EngineInfo(100, 2, frozenset(), raw_prompts=True, provider="scripted")
    await observed.prefill(ask(), "marker")
    assert [marker for _, marker in engine.prefills] == ["marker"]
    with pytest.raises(EngineUnavailable):
        await observed.check_health()
    assert (observer.started, observer.ended) == ([], [])
