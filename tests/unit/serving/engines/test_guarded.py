"""Whatever an engine's adapter raises is a failure of that engine and of nothing else."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from serving.engine import complete
from serving.engines.observed import GuardedEngine
from serving.engines.observed_pooling import ObservedPoolingEngine
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.errors import EngineFailed, Overloaded, RecipeFailed
from serving.orchestrator import Orchestrator
from serving.pooling import EmbedRequest, Vectors
from serving.recipes import load_recipes
from serving.recipes.strategies.vote import Vote
from serving.telemetry import Observer
from serving.types import Delta, GenerateRequest, Tokens
from tests.support.recipes import Ask, Trio, reasons, run

SECRET = "sk-guarded-secret"


class Defective(ScriptedEngine):
    """Raises `defect` in all methods; in `generate` after `said`, or before there is a stream (`early`)."""

    defect: BaseException = KeyError(SECRET)
    said = ""
    early = False

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        if self.early:
            raise self.defect
        return self._broken()

    async def _broken(self) -> AsyncGenerator[Delta, None]:
        if self.said:
            yield Delta(self.said)
        raise self.defect

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        raise self.defect

    async def count_tokens(self, request: GenerateRequest) -> int:
        raise self.defect

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        raise self.defect

    async def detokenize(self, token_ids: tuple[int, ...]) -> str:
        raise self.defect

    async def check_health(self) -> None:
        raise self.defect


def defective(name: str = "c", **fields: object) -> Defective:
    engine = Defective(name)
    for field, value in fields.items():
        setattr(engine, field, value)
    return engine


DEFECTS: list[BaseException] = [
    KeyError(SECRET),
    RecursionError(SECRET),
    MemoryError(),
    TimeoutError(SECRET),
    ExceptionGroup(SECRET, [OSError()]),
    asyncio.CancelledError(SECRET),  # nobody cancelled the call: work of the engine's own was
]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: type(defect).__name__)
@pytest.mark.parametrize("early", [False, True])
async def test_every_method_raises_the_engines_failure(ask: Ask, defect: BaseException, early: bool) -> None:
    engine = GuardedEngine("c", defective(defect=defect, early=early))
    calls = [
        complete("c", engine, ask()),
        engine.prefill(ask(), "<here>"),
        engine.count_tokens(ask()),
        engine.tokenize(ask()),
        engine.detokenize((1,)),
        engine.check_health(),
    ]
    for call in calls:
        with pytest.raises(EngineFailed) as caught:
            await call
        assert str(caught.value) == (
            f"The engine of 'c' failed: unexpected {type(defect).__name__}; the server's log has the details."
        )


async def test_errors_of_ours_and_cancellation_pass(ask: Ask) -> None:
    with pytest.raises(Overloaded, match=r"Full\."):
        await complete("c", GuardedEngine("c", defective(defect=Overloaded("Full."))), ask())
    task = asyncio.create_task(complete("c", GuardedEngine("c", ScriptedEngine("c", ttft_s=60)), ask()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    inner = ScriptedEngine("c", "one two three")
    async with aclosing(GuardedEngine("c", inner).generate(ask())) as stream:
        await anext(stream)
    assert (inner.running, inner.cancelled) == (0, 1)


LAYERED = {"id": "team", "layers": [["a", "b", "c"]], "aggregator": "a", "prefill": "off"}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("said", ["", "So far"])
async def test_a_defect_of_one_proposer_costs_its_proposal(
    trio: Trio, ask: Ask, said: str, early: bool, caplog: pytest.LogCaptureFixture
) -> None:
    done = await run({**trio, "c": defective(said=said, early=early)}, ask(), LAYERED)
    assert done.text == "a says 2"
    assert reasons(done) == "'c' (proposer, layer 1) failed."
    assert "Traceback" in caplog.text


async def test_a_defect_of_the_aggregator_is_answered_by_a_fallback(trio: Trio, ask: Ask) -> None:
    recipe = {"id": "team", "layers": [["a", "b"]], "aggregator": "c", "prefill": "off"}
    done = await run({**trio, "c": defective()}, ask(), recipe)
    assert done.text == "a says 2"
    assert reasons(done) == "'c' (aggregator, layer 2) failed."
    with pytest.raises(EngineFailed, match="unexpected KeyError"):  # the caller has read a part of the answer
        await run({**trio, "c": defective(said="So far")}, ask(), recipe)


async def test_a_defect_of_a_prefill_costs_nothing(trio: Trio, ask: Ask) -> None:
    class Prefilling(Defective):
        def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
            return ScriptedEngine.generate(self, request)

    trio["a"].ttft_s = trio["b"].ttft_s = 0.05
    recipe = {"id": "team", "layers": [["a", "b"]], "aggregator": "c", "prefill": "on_complete"}
    done = await run({**trio, "c": Prefilling("c", "whole")}, ask(), recipe)
    assert done.text == "whole"
    assert not reasons(done)


async def test_a_single_model_is_guarded_too(trio: Trio, ask: Ask) -> None:
    orchestrator = Orchestrator({**trio, "c": defective()}, load_recipes([]))
    for request in (ask(), ask(temperature=0), ask(temperature=0.0, seed=3)):
        with pytest.raises(EngineFailed, match="unexpected KeyError"):
            await complete("c", orchestrator.engines["c"], request)
    with pytest.raises(EngineFailed):
        await orchestrator.engines["c"].check_health()


async def test_a_defect_inside_a_recipe_inside_a_recipe_is_that_recipes_failure(
    trio: Trio, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Vote, run: object) -> AsyncGenerator[Delta, None]:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr(Vote, "run", broken)
    auto = {"id": "auto", "strategy": "auto", "rules": [], "otherwise": "inner"}
    inner = {"id": "inner", "strategy": "vote", "proposers": ["a", "b"]}
    with pytest.raises(RecipeFailed, match="The recipe 'inner' failed: unexpected ZeroDivisionError"):
        await run(trio, ask(), auto, inner)


async def test_a_defect_of_an_engine_that_embeds_is_its_failure() -> None:
    class Broken(ScriptedPoolingEngine):
        async def embed(self, request: EmbedRequest) -> Vectors:
            raise KeyError(SECRET)

        async def check_health(self) -> None:
            raise KeyError(SECRET)

    engine = ObservedPoolingEngine("e", Broken("e"), Observer())
    for call in (engine.embed(EmbedRequest("r", ("a",))), engine.check_health()):
        with pytest.raises(EngineFailed, match="The engine of 'e' failed: unexpected KeyError"):
            await call
