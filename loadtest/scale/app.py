"""Ray Serve application with scripted engines: `serve run loadtest.scale.app:scale_app replicas=2 port=8000`."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.deployment import Application

from deployments.cluster.local import start_cluster
from deployments.config import AppArgs, OrchestratorSpec, Profile
from deployments.model.coalescing import coalesced
from deployments.model_spec import ModelSpec, Replicas
from deployments.wire import Packed, pack
from loadtest.target import TEAM
from serving.api.settings import ApiSettings
from serving.engines.scripted import ScriptedEngine
from serving.types import GenerateRequest

MODELS = ("scripted-a", "scripted-b", "scripted-c")
ROOM = 8192  # requests: no limit but the machine's
CONTEXT_TOKENS = 131_072


class ScaleArgs(BaseModel):
    """Arguments of `scale_app`. The timing is that of a continuously batching engine (`serving.engines.scripted`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replicas: int = Field(default=1, ge=1, description="Orchestrator replicas.")
    port: int = Field(default=8000, ge=1, le=65535)
    prefill_tokens_per_s: float = Field(default=20_000, gt=0)
    itl_s: float = Field(default=0.01, ge=0, description="Seconds per token of a single request.")
    batch_slowdown: float = Field(default=0.0, ge=0, description="Relative increase of `itl_s` per concurrent request.")


class ScriptedModel:
    """Scripted replacement of `deployments.model.server` with the same wire format."""

    def __init__(self, model: str, **options: Any) -> None:
        """Create the engine, which records nothing. `options` are those of `ScriptedEngine`."""
        self._engine = ScriptedEngine(model, requests=deque(maxlen=0), prefills=deque(maxlen=0), **options)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[tuple[Packed, ...], None]:
        """Stream groups of packed deltas."""
        async with aclosing(coalesced(self._engine.generate(request))) as groups:
            async for group in groups:
                yield tuple(pack(delta) for delta in group)

    async def stats(self) -> int:
        """Number of running requests."""
        return self._engine.running


SCRIPTED = serve.deployment(name="scripted", max_ongoing_requests=ROOM, ray_actor_options={"num_cpus": 0})(
    ScriptedModel
)


def words(request: GenerateRequest) -> str:
    """Answer of as many words as the request allows tokens."""
    return " ".join(["word"] * (request.sampling.max_tokens or 16))


def scale_profile(args: ScaleArgs) -> Profile:
    """Create the profile of three scripted models and `moa-lite`."""
    return Profile(
        name="scale",
        models=tuple(
            ModelSpec(
                id=name, source=name, accelerator="cpu", num_cpus=0, engine_kwargs={"max_model_len": CONTEXT_TOKENS}
            )
            for name in MODELS
        ),
        team={"proposers": MODELS, "aggregator": MODELS[0]},
        recipes=(TEAM,),
        api=ApiSettings(max_in_flight=ROOM),
        orchestrator=OrchestratorSpec(replicas=Replicas(min=args.replicas), max_ongoing_requests=ROOM, num_cpus=0),
    )


def scale_app(args: ScaleArgs) -> Application:
    """Build the production ingress over one scripted deployment, which leaves the cores to the ingress."""
    from deployments.ingress.deployment import Ingress, ingress_options

    profile = scale_profile(args)
    start_cluster(profile, AppArgs(port=args.port))
    engines = SCRIPTED.bind(
        "scripted",
        answer=words,
        prefill_tokens_per_s=args.prefill_tokens_per_s,
        itl_s=args.itl_s,
        batch_slowdown=args.batch_slowdown,
        context_tokens=CONTEXT_TOKENS,
    )
    models = {f"model_{number}": engines for number in range(len(MODELS))}
    return serve.deployment(**ingress_options(profile))(Ingress).bind(profile, **models)
