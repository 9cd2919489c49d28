import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from serving.engine import complete
from serving.engines.model import ModelEngine
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.runtime.shared_state import Runtime
from serving.runtime.single_flight import SingleFlight
from serving.types import GenerateRequest

Ask = Callable[..., GenerateRequest]


async def test_identical_deterministic_calls_are_one(ask: Ask) -> None:
    engine, shared = ScriptedEngine(ttft_s=0.005), SingleFlight()
    asked = [replace(ask(temperature=0), session=str(number)) for number in range(5)]
    both = await asyncio.gather(*(shared.complete("m", engine, request) for request in asked))
    assert {done.text for done in both} == {"ok"}
    assert len(engine.requests) == 1
    assert shared.shared == 4
    assert not shared._flights


@pytest.mark.parametrize("sampling", [{"temperature": 0.7}, {}])
async def test_sampled_calls_are_not_shared(ask: Ask, sampling: dict[str, float]) -> None:
    engine = ScriptedEngine(ttft_s=0.005)
    model = ModelEngine("m", engine, Runtime({}))
    asked = replace(ask(**sampling), stream_interval=None)
    await asyncio.gather(*(complete("m", model, asked) for _ in range(3)))
    assert len(engine.requests) == 3


async def test_one_caller_leaving_does_not_end_the_others_work(ask: Ask) -> None:
    engine, shared = ScriptedEngine(ttft_s=0.005), SingleFlight()
    stays, leaves = (asyncio.create_task(shared.complete("m", engine, ask(temperature=0))) for _ in range(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaves.cancel()
    assert (await stays).text == "ok"
    assert engine.cancelled == 0


async def test_the_work_ends_with_its_last_caller(ask: Ask) -> None:
    engine, shared = ScriptedEngine(hang=True), SingleFlight()
    tasks = [asyncio.create_task(shared.complete("m", engine, ask(temperature=0))) for _ in range(3)]
    while not engine.running:  # noqa: ASYNC110 - engines have no event to wait for
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (engine.running, engine.cancelled) == (0, 1)
    assert not shared._flights


async def test_an_error_reaches_every_caller_and_is_not_kept(ask: Ask) -> None:
    engine, shared = ScriptedEngine(ttft_s=0.001, error=EngineFailed("m", "bad")), SingleFlight()
    results = await asyncio.gather(
        *(shared.complete("m", engine, ask(temperature=0)) for _ in range(2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [EngineFailed, EngineFailed]
    engine.error = None
    assert (await shared.complete("m", engine, ask(temperature=0))).text == "ok"
