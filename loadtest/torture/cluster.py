"""Ray Serve application of the report: `serve run loadtest.torture.cluster:torture_app port=8000`.

The production ingress over scripted models, each a deployment of its own: `a` and `c` with two replicas, `b` with one.
"""

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.deployment import Application

from deployments.cluster.local import start_cluster
from deployments.config import AppArgs, OrchestratorSpec, Profile
from deployments.model_spec import ModelSpec, Replicas
from loadtest.scale.app import ScriptedModel
from loadtest.torture.stage import CONTEXT_TOKENS, TEAM
from serving.api.settings import ApiSettings
from serving.types import GenerateRequest

REPLICAS = {"a": 2, "b": 1, "c": 2}
IN_FLIGHT = 1024


class ClusterArgs(BaseModel):
    """Arguments of `torture_app`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(default=8000, ge=1, le=65535)
    host: str = "127.0.0.1"
    tokens: int = Field(default=20, ge=1, description="Length of each answer.")
    itl_s: float = Field(default=0.05, ge=0, description="Seconds per token.")


class PrefillingModel(ScriptedModel):
    """Scripted model that also takes the prefills of recipes."""

    async def prefill(self, request: GenerateRequest, marker: str) -> None:
        """Take the time of the prompt."""
        await self._engine.prefill(request, marker)


REPLICA = serve.deployment(max_ongoing_requests=IN_FLIGHT, health_check_period_s=1, ray_actor_options={"num_cpus": 0})(
    PrefillingModel
)


def torture_profile() -> Profile:
    """Create the profile: three scripted models, `moa-lite`, two orchestrator replicas."""
    return Profile(
        name="torture",
        models=tuple(
            ModelSpec(
                id=name,
                source=name,
                accelerator="cpu",
                num_cpus=0,
                replicas=Replicas(min=count),
                engine_kwargs={"max_model_len": CONTEXT_TOKENS},
            )
            for name, count in REPLICAS.items()
        ),
        team={"proposers": tuple(REPLICAS), "aggregator": "a"},
        recipes=(TEAM,),
        api=ApiSettings(max_in_flight=IN_FLIGHT),
        orchestrator=OrchestratorSpec(replicas=Replicas(min=2), num_cpus=0),
    )


def torture_app(args: ClusterArgs) -> Application:
    """Build the application, and start a cluster for it."""
    from deployments.ingress.deployment import Ingress, ingress_options

    profile = torture_profile()
    start_cluster(profile, AppArgs(port=args.port, host=args.host))
    answer = " ".join(["word"] * args.tokens)
    models = {
        f"model_{number}": REPLICA.options(name=f"model:{name}", num_replicas=count).bind(
            name, answer=answer, itl_s=args.itl_s, context_tokens=CONTEXT_TOKENS
        )
        for number, (name, count) in enumerate(REPLICAS.items())
    }
    return serve.deployment(**ingress_options(profile))(Ingress).bind(profile, **models)
