"""The HTTP deployment: the API on top of the orchestrator, the orchestrator on top of the models' handles."""

import asyncio
import os
from typing import Any

from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp

from deployments.api_settings import api_settings
from deployments.batches_setting import batches_of
from deployments.cluster.tracing import replica_tracer
from deployments.config import Profile, SessionAffinity
from deployments.ingress.capacity import max_in_flight
from deployments.ingress.cluster_metrics import ClusterMetrics
from deployments.ingress.cold_start import ColdStart, ColdStartEngine, ColdStartPooling
from deployments.ingress.metrics import RayObserver
from deployments.ingress.remote_engine import RemoteEngine
from deployments.ingress.remote_pooling import RemotePooling
from deployments.ingress.running_replicas import RunningReplicas
from deployments.ingress.session_router import SessionRouter
from deployments.model_revision import revision_of
from deployments.model_spec import Replicas
from serving.api.app import create_app
from serving.api.exchange import Api
from serving.engine import Engine
from serving.orchestrator import Orchestrator
from serving.pooling import PoolingEngine, PoolingInfo
from serving.quality.sampler import QualitySampler
from serving.recipes import load_recipes
from serving.runtime.hedging import RetryBudget
from serving.store.store import Store

# Access logs cost as much as a small model's token; metrics count requests.
QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")


class Orchestration:
    """The API over the models' handles. Imports neither vllm nor ray.serve.llm: they cost 8 s and 770 MB."""

    def __init__(self, profile: Profile, **handles: DeploymentHandle[Any]) -> None:
        """`handles`: `model_0` and so on, in the order of the profile's models."""
        self._profile = profile
        limits = profile.orchestrator.limits
        self._retries = RetryBudget(limits.retry_share, limits.retry_burst)
        self._engines: dict[str, Engine] = {}
        for number, model in enumerate(profile.models):
            if model.generates:
                engine = RemoteEngine(
                    model.id,
                    handles[f"model_{number}"],
                    deadline_s=model.deadline_s,
                    replicas=model.replicas.min,
                    context_tokens=model.context_tokens,
                    unsupported=model.unsupported,
                    tools=model.accepts_tools,
                    thinking=model.thinks,
                    modalities=model.modalities,
                    retries=self._retries,
                    revision=revision_of(model),
                )
                self._engines |= {model.id: engine, **{one.id: engine.adapted(one.id) for one in model.adapters}}
        self._pooling: dict[str, PoolingEngine] = {
            model.id: RemotePooling(
                model.id,
                handles[f"model_{number}"],
                PoolingInfo("embed" if model.task == "embed" else "rerank", model.context_tokens),
                deadline_s=model.deadline_s,
                retries=self._retries,
            )
            for number, model in enumerate(profile.models)
            if not model.generates
        }
        running = RunningReplicas()
        for number, model in enumerate(profile.models):
            if model.replicas.min == 0:
                start = ColdStart(model.id, handles[f"model_{number}"], running, wait_s=model.replicas.wait_s)
                for served in (model, *model.as_adapters) if model.generates else ():
                    self._engines[served.id] = ColdStartEngine(served.id, self._engines[served.id], start)
                if not model.generates:
                    self._pooling[model.id] = ColdStartPooling(self._pooling[model.id], start)
        self._engines.update((external.id, external.engine()) for external in profile.external)

    async def api(self, *, answers_batches: bool) -> Api:
        """The API. `answers_batches`: while it runs, it answers the lines of batches, too."""
        profile = self._profile
        recipes = load_recipes(profile.recipes, profile.team)
        prices = profile.prices
        observer = RayObserver(prices, profile.budget_usd_per_month)
        tracer = replica_tracer()
        orchestrator = Orchestrator(
            self._engines,
            recipes,
            profile.orchestrator.limits,
            observer,
            next_turn_prefill_s=profile.orchestrator.next_turn_prefill_s,
            prices={model: (price.prompt, price.completion) for model, price in prices.items()},
            pooling=self._pooling,
            retries=self._retries,
            tracer=tracer,
        )
        descriptions = {model.id: model.description for model in (*profile.generating, *profile.pooling)}
        cards = orchestrator.cards(
            descriptions, {name: price.model_dump() for name, price in prices.items()}, profile.parents
        )
        # So that the first request finds a connection to every model.
        checks = [engine.check_health() for engine in self._engines.values()]
        checks += [engine.check_health() for engine in self._pooling.values()]
        await asyncio.gather(*checks, return_exceptions=True)
        settings = api_settings(profile.api, os.environ)
        if settings.max_in_flight is None:
            settings = settings.model_copy(update={"max_in_flight": max_in_flight(profile, recipes)})
        store = Store(profile.store, observer) if profile.store.enabled else None
        quality = None
        if profile.quality is not None:
            price = prices.get(profile.quality.judge)
            quality = QualitySampler(
                profile.quality,
                orchestrator.runtime.engines[profile.quality.judge],
                None if store is None else store.requests,
                observer,
                None if price is None else (price.prompt, price.completion),
            )
        return create_app(
            orchestrator.engines,
            cards,
            settings,
            observer,
            orchestrator.pooling,
            metrics=ClusterMetrics() if settings.metrics else None,
            store=store,
            tracer=tracer,
            quality=quality,
            budget_usd=profile.budget_usd_per_month,
            batches=batches_of(profile, store, works=answers_batches),
        )


@serve.ingress()
class Ingress(Orchestration):
    """One orchestrator replica."""

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        return await self.api(answers_batches=False)


def ingress_options(profile: Profile) -> dict[str, Any]:
    """Serve's options of the HTTP deployment."""
    spec = profile.orchestrator
    return {
        "name": "ingress",
        **scaling(spec.replicas),
        "max_ongoing_requests": spec.max_ongoing_requests,
        "graceful_shutdown_timeout_s": spec.drain_s,
        "graceful_shutdown_wait_loop_s": min(1.0, spec.drain_s),
        "ray_actor_options": {
            "num_cpus": spec.num_cpus,
            "resources": dict(spec.resources),
            "runtime_env": {"env_vars": dict(profile.env)},
        },
        "logging_config": QUIET,
    }


def routing(affinity: SessionAffinity) -> dict[str, Any]:
    """Serve's options of a model's deployment that choose its replicas by session; none: Serve's own choice."""
    if not affinity.enabled:
        return {}
    options: dict[str, Any] = {
        "request_router_class": f"{SessionRouter.__module__}.{SessionRouter.__name__}",
        "request_router_kwargs": affinity.model_dump(include={"imbalance_factor", "imbalance_requests"}),
    }
    return {"request_router_config": RequestRouterConfig(**options)}


def scaling(replicas: Replicas) -> dict[str, Any]:
    """A fixed number of replicas, or bounds and a target for Serve's autoscaler."""
    if replicas.max is None or replicas.max == replicas.min:
        return {"num_replicas": replicas.min}
    bounds: dict[str, Any] = {
        "min_replicas": replicas.min,
        "max_replicas": replicas.max,
        "target_ongoing_requests": replicas.target_ongoing_requests,
    }
    if replicas.min == 0:
        bounds["downscale_to_zero_delay_s"] = replicas.idle_s
    return {"autoscaling_config": bounds}
