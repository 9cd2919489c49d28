"""Models without a replica: calls start one and never wait without end; recipes go on without the model."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest
from ray.serve.exceptions import DeploymentUnavailableError

from deployments.ingress import cold_start
from deployments.ingress.cold_start import ColdStart, ColdStartEngine, ColdStartPooling
from deployments.ingress.running_replicas import RunningReplicas
from serving.api.app import create_app
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engine import Engine, complete
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.errors import EngineUnavailable
from serving.orchestrator import Orchestrator
from serving.pooling import EmbedRequest, RerankRequest
from serving.recipes.loading import load_recipes
from serving.types import GenerateRequest
from tests.support.api import client_of
from tests.support.recipes import reasons
from tests.support.waiting import until

Ask = Callable[..., GenerateRequest]
EMBED, RERANK = EmbedRequest("r", ("a",)), RerankRequest("r", "q", ("d",))


class Deployment:
    """A deployment with `replicas`, as its handle and as Serve's controller: a waiting call asks for a replica."""

    app_name, deployment_name = "moa", "model:a"

    def __init__(self, replicas: int = 0) -> None:
        self.replicas: int | None = replicas
        self.error: Exception | None = None
        self.up = asyncio.Event()
        self.waiting = self.cancelled = self.counted = 0
        self.stats = self

    def options(self, **_: object) -> "Deployment":
        return self

    def remote(self) -> "Call":
        return Call(self)

    def start(self) -> None:
        self.replicas = 1
        self.up.set()

    def count(self) -> dict[tuple[str, str], int]:
        self.counted += 1
        return {} if self.replicas is None else {(self.app_name, self.deployment_name): self.replicas}

    def cold_start(self, wait_s: float = 0.0) -> ColdStart:
        return ColdStart("a", self, RunningReplicas(self.count), wait_s=wait_s)  # type: ignore[arg-type]


class Call:
    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def __await__(self) -> Generator[Any, None, None]:
        return self._answered().__await__()

    async def _answered(self) -> None:
        self.deployment.waiting += 1
        try:
            await self.deployment.up.wait()
            if self.deployment.error is not None:
                raise self.deployment.error
        finally:
            self.deployment.waiting -= 1

    def cancel(self) -> None:
        self.deployment.cancelled += 1


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.ingress.running_replicas.FRESH_S", 0.0)


def wrapped(deployment: Deployment, engine: Engine | None = None, wait_s: float = 0.0) -> ColdStartEngine:
    return ColdStartEngine("a", engine or ScriptedEngine("a", "hello"), deployment.cold_start(wait_s))


async def test_a_call_without_a_replica_starts_one_and_fails_at_once(ask: Ask) -> None:
    deployment = Deployment()
    engine = wrapped(deployment)
    with pytest.raises(EngineUnavailable, match="one is being started") as refused:
        await complete("a", engine, ask())
    assert (refused.value.retry_after_s, refused.value.retriable) == (cold_start.RETRY_AFTER_S, False)
    with pytest.raises(EngineUnavailable):
        await complete("a", engine, ask())
    assert deployment.waiting == 1, "one waiting call for all requests"
    deployment.start()
    await until(lambda: deployment.waiting == 0)
    assert (await complete("a", engine, ask())).text == "hello"
    assert deployment.cancelled == 0


async def test_an_adapter_of_the_model_is_named_and_starts_the_same_replica(ask: Ask) -> None:
    deployment = Deployment()
    start = deployment.cold_start()
    for name in ("a", "adapter"):
        engine = ColdStartEngine(name, ScriptedEngine(name, "hello"), start)
        with pytest.raises(EngineUnavailable) as refused:
            await complete(name, engine, ask())
        assert refused.value.model == name
    assert deployment.waiting == 1


async def test_a_call_may_wait_for_the_replica(ask: Ask) -> None:
    deployment = Deployment()
    answer = asyncio.create_task(complete("a", wrapped(deployment, wait_s=600), ask()))
    await until(lambda: deployment.waiting == 1)
    deployment.start()
    assert (await answer).text == "hello"


async def test_a_wait_has_an_end_and_the_start_goes_on(ask: Ask) -> None:
    deployment = Deployment()
    with pytest.raises(EngineUnavailable, match="one is being started"):
        await complete("a", wrapped(deployment, wait_s=0.01), ask())
    assert deployment.waiting == 1


async def test_a_caller_who_leaves_does_not_end_the_start(ask: Ask) -> None:
    deployment = Deployment()
    caller = asyncio.create_task(complete("a", wrapped(deployment, wait_s=600), ask()))
    await until(lambda: deployment.waiting == 1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert deployment.waiting == 1


async def test_replicas_that_cannot_be_started_are_said_and_tried_again(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    deployment = Deployment()
    deployment.error = DeploymentUnavailableError("model:a")  # type: ignore[arg-type]
    deployment.up.set()
    engine = wrapped(deployment, wait_s=600)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="its replicas cannot be started"):
            await complete("a", engine, ask())
    assert deployment.cancelled == 2
    assert "no replica of 'a' could be started" in caplog.text


async def test_a_start_that_takes_too_long_is_given_up(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_start, "START_LIMIT_S", 0.01)
    deployment = Deployment()
    engine = wrapped(deployment)
    with pytest.raises(EngineUnavailable):
        await complete("a", engine, ask())
    await until(lambda: deployment.cancelled == 1)
    assert deployment.waiting == 0


async def test_a_running_model_and_an_unknown_number_are_asked_as_ever(ask: Ask) -> None:
    deployment = Deployment(replicas=2)
    assert (await complete("a", wrapped(deployment), ask())).text == "hello"
    deployment.replicas = None
    assert (await complete("a", wrapped(deployment), ask())).text == "hello"
    assert deployment.waiting == 0


async def test_every_other_call_needs_a_replica_too(ask: Ask) -> None:
    deployment = Deployment()
    engine = wrapped(deployment)
    calls: list[Any] = [
        engine.prefill(ask(), "marker"), engine.count_tokens(ask()), engine.tokenize(ask()), engine.detokenize((1,)),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(EngineUnavailable):
            await call
    deployment.start()
    inner = ScriptedEngine("a", "hello")
    running = wrapped(deployment, inner)
    assert await running.count_tokens(ask()) == await inner.count_tokens(ask())
    await running.prefill(ask(), "marker")


async def test_a_model_that_rests_is_healthy_and_the_check_does_not_start_it() -> None:
    sick = ScriptedEngine("a", "hello", healthy=False)
    deployment = Deployment()
    await wrapped(deployment, sick).check_health()
    assert deployment.waiting == 0
    deployment.start()
    with pytest.raises(EngineUnavailable):
        await wrapped(deployment, sick).check_health()


async def test_models_that_embed_or_rank_start_likewise() -> None:
    deployment = Deployment()
    engine = ColdStartPooling(ScriptedPoolingEngine("a"), deployment.cold_start())
    await engine.check_health()
    for call in (engine.embed(EMBED), engine.rerank(RERANK)):
        with pytest.raises(EngineUnavailable, match="one is being started"):
            await call
    assert deployment.waiting == 1
    deployment.start()
    assert await engine.embed(EMBED) == await engine.engine.embed(EMBED)
    assert await engine.rerank(RERANK) == await engine.engine.rerank(RERANK)
    await engine.check_health()
    assert engine.info == engine.engine.info


# -- in a team ---------------------------------------------------------------------------------------------


def team(deployment: Deployment, **changes: Any) -> Orchestrator:
    engines: dict[str, Engine] = {name: ScriptedEngine(name, f"{name} says so") for name in ("a", "b", "c")}
    engines["a"] = wrapped(deployment, engines["a"])
    recipe = {"id": "team", "layers": [["a", "b", "c"]], "aggregator": "b", **changes}
    return Orchestrator(engines, load_recipes([recipe]))


async def test_a_team_goes_on_without_a_proposer_that_rests_and_says_so(ask: Ask) -> None:
    deployment = Deployment()
    orchestrator = team(deployment)
    done = await complete("team", orchestrator.engines["team"], ask())
    assert done.text == "b says so"
    assert done.report is not None
    assert done.report.degraded
    assert "'a' (proposer, layer 1) was not available." in reasons(done)
    assert deployment.waiting == 1, "it is started for the next request"
    deployment.start()
    await until(lambda: deployment.waiting == 0)
    again = await complete("team", orchestrator.engines["team"], ask())
    assert again.report is not None
    assert not again.report.degraded


async def test_an_aggregator_that_rests_is_replaced(ask: Ask) -> None:
    orchestrator = team(Deployment(), layers=[["b", "c"]], aggregator="a")
    done = await complete("team", orchestrator.engines["team"], ask())
    assert done.text in ("b says so", "c says so")
    assert done.report is not None
    assert done.report.degraded


async def test_a_model_that_rests_is_not_asked_again_at_once(ask: Ask) -> None:
    deployment = Deployment()
    orchestrator = team(deployment, retries=3)
    await complete("team", orchestrator.engines["team"], ask())
    assert deployment.counted == 1, "one question to the controller, not one for each attempt"


async def test_a_client_of_a_single_model_is_told_when_to_come_back() -> None:
    engine = wrapped(Deployment())
    app = create_app({"a": engine}, (ModelCard("a", "model"),), ApiSettings())
    async with client_of(app) as client:
        body = {"model": "a", "messages": [{"role": "user", "content": "hello"}]}
        refused: httpx.Response = await client.post("/v1/chat/completions", json=body)
        ready = await client.get("/ready")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "30"
    assert refused.json()["error"]["code"] == "engine_unavailable"
    assert ready.status_code == 200
