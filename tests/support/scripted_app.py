"""The production ingress over scripted models: `serve run tests.support.scripted_app:scripted_app port=8000`.

What a scripted model does is asked for in the last message: `fail`, `hang`, `cut`, `die`, `brief` (1 s), `slow` (10 s),
`who` (its process id), or anything else. `scripted-a` sees: asked with images, it answers with the digests of the bytes
that reach it.
"""

import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic import BaseModel
from ray import serve
from ray.serve.deployment import Application

from deployments.batch_spec import BatchSpec
from deployments.cluster.local import start_cluster
from deployments.config import AppArgs, OrchestratorSpec, Profile
from deployments.ingress.batch_worker import BatchWorker, worker_options
from deployments.ingress.deployment import Ingress, ingress_options, routing, scaling
from deployments.model.coalescing import coalesced
from deployments.model_spec import ModelSpec, Replicas
from deployments.wire import EngineStats, Packed, pack
from serving.api.settings import ApiSettings
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.types import GenerateRequest

MODELS = ("scripted-a", "scripted-b", "scripted-twice", "scripted-rests")
TEAM = MODELS[:2]
SEEING = MODELS[:1]
REPLICAS = {"scripted-twice": Replicas(min=2), "scripted-rests": Replicas(min=0, max=1, idle_s=3600)}
CONTEXT_TOKENS = 1000
OWN = {"id": "chain", "strategy": "examples.my_recipe:Chain", "chain": TEAM, "writer": TEAM[1]}
ENGINES = {
    "fail": {"answer": "one two three", "error": EngineFailed("scripted", "scripted to fail"), "fail_after": 2},
    "hang": {"hang": True},
    "cut": {"answer": "one two three", "cut_after": 2},
    "brief": {"itl_s": 0.05, "answer": " ".join(["word"] * 20)},
    "slow": {"itl_s": 0.05, "answer": " ".join(["word"] * 200)},
}


class Args(BaseModel):
    port: int = 8000


@serve.deployment(max_ongoing_requests=64, max_queued_requests=16, health_check_period_s=1)
class ScriptedServer:
    """The interface of `deployments.model.server`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._engines = {name: ScriptedEngine(model, **options) for name, options in ENGINES.items()}
        self._engines["who"] = ScriptedEngine(model, str(os.getpid()))
        self._plain = ScriptedEngine(model, answer=f"words of {model}", context_tokens=CONTEXT_TOKENS)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[tuple[Packed, ...], None]:
        asked = request.messages[-1].content
        if asked == "die":
            os._exit(1)
        if asked == "bug":
            raise RuntimeError("a bug in the server")
        engine = self._engines.get(asked, self._plain)
        if images := [image for message in request.messages for image in message.images]:
            digests = " ".join(hashlib.sha256(image.data).hexdigest() for image in images)
            engine = ScriptedEngine(self._model, digests, context_tokens=CONTEXT_TOKENS)
        async with aclosing(coalesced(engine.generate(request))) as groups:
            async for group in groups:
                yield tuple(pack(delta) for delta in group)

    async def stats(self) -> EngineStats:
        engines = [*self._engines.values(), self._plain]
        running, cancelled = sum(e.running for e in engines), sum(e.cancelled for e in engines)
        return EngineStats(running, 0, cancelled, 0, os.getpid())


def profile() -> Profile:
    return Profile(
        name="scripted",
        models=tuple(
            ModelSpec(
                id=name,
                source=name,
                accelerator="cpu",
                num_cpus=0,
                engine_kwargs={"max_model_len": CONTEXT_TOKENS},
                modalities=("text", "image") if name in SEEING else ("text",),
                replicas=REPLICAS.get(name, Replicas()),
            )
            for name in MODELS
        ),
        team={"proposers": TEAM, "aggregator": TEAM[0]},
        recipes=("moa-lite", OWN, {"preset": "moa-lite", "id": "moa-rests", "layers": [[*TEAM, "scripted-rests"]]}),
        api=ApiSettings(metrics=True, aliases={"gpt-4o": "moa-lite"}),
        orchestrator=OrchestratorSpec(replicas=Replicas(min=2), num_cpus=0),
        batches=BatchSpec(enabled=True),
    )


def scripted_app(args: Args) -> Application:
    start_cluster(profile(), AppArgs(port=args.port))
    models = {
        f"model_{number}": ScriptedServer.options(
            name=f"model:{name}",
            **scaling(REPLICAS.get(name, Replicas())),
            ray_actor_options={"num_cpus": 0},
            **routing(profile().orchestrator.session_affinity),
        ).bind(name)
        for number, name in enumerate(MODELS)
    }
    worker = serve.deployment(BatchWorker, **worker_options(profile())).bind(profile(), **models)
    return serve.deployment(Ingress, **ingress_options(profile())).bind(profile(), **models, batches=worker)
