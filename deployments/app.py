"""Builder of the Serve application of a profile."""

import logging
import os
from typing import Any

from ray import serve
from ray.serve.deployment import Application
from ray.serve.llm import LLMConfig, build_llm_deployment

from deployments.adapter_spec import lora_options
from deployments.api_settings import api_settings
from deployments.batches_setting import with_batches
from deployments.cards import cards_of
from deployments.cluster.progress import watch_start
from deployments.cluster.terminal import say
from deployments.config import AppArgs, Profile
from deployments.ingress.batch_worker import BatchWorker, worker_options
from deployments.ingress.deployment import QUIET, Ingress, ingress_options, routing, scaling
from deployments.metrics_setting import with_metrics
from deployments.model.pooling_server import PoolingServer
from deployments.model.server import LocalWeights, ModelServer
from deployments.model_spec import ModelSpec
from deployments.task_options import SERVER_OPTIONS
from serving.api.key_checks import check_keys
from serving.api.keys import key_ring
from serving.log_format import VARIABLE


def build(profile: Profile, args: AppArgs, *, local: bool) -> Application:
    """Bind the ingress to one deployment per model. `local`: print the progress of the start on stderr.

    Raises:
        ConfigError: the API's keys contradict each other or name what is not served, or one is not in
            the environment; or batches cannot work.
    """
    settings = api_settings(profile.api, os.environ)
    key_ring(settings)
    check_keys(settings, cards_of(profile), has_store=profile.store.enabled)
    profile = with_batches(profile, os.environ, local=local)
    profile = with_metrics(profile, args.host, local=local, keyed=settings.requires_key)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    logging.getLogger("ray.llm").setLevel(logging.WARNING)
    models = {
        f"model_{number}": build_llm_deployment(
            llm_config(profile, model),
            name_prefix="model:",
            bind_kwargs={"spec": model},
            deployment_cls=ModelServer if model.generates else PoolingServer,
        )
        for number, model in enumerate(profile.models)
    }
    if local:
        watch_start(profile, args.host, args.port, say)
    ingress = serve.deployment(**ingress_options(profile))(Ingress)
    if profile.batches.enabled:
        worker = serve.deployment(**worker_options(profile))(BatchWorker)
        return ingress.bind(profile, **models, batches=worker.bind(profile, **models))
    return ingress.bind(profile, **models)


def llm_config(profile: Profile, model: ModelSpec) -> LLMConfig:
    """Configuration with which ray.serve.llm places and starts one model.

    Raises:
        ValueError: ray.serve.llm refuses an option.
    """
    local = model.names_folder or model.path is not None  # on the replica's node; perhaps not on this machine
    engine_options = {name: value for name, value in model.engine_kwargs.items() if name not in SERVER_OPTIONS}
    if not model.generates:
        engine_options["runner"] = "pooling"
    if model.sees:
        # vLLM keeps room for the largest inputs that it may get: of videos and sound, which are refused, for none.
        engine_options.setdefault(
            "limit_mm_per_prompt", {"image": model.image_limit(profile.api.images.max_images), "video": 0, "audio": 0}
        )
    engine_options.update(lora_options(model.adapters, model.engine_kwargs, model.accelerator))
    # Without it vLLM ignores the order of priorities and tenants.
    engine_options.setdefault("scheduling_policy", "priority")
    options: dict[str, Any] = {
        "model_loading_config": {"model_id": model.id, "model_source": str(model.folder) if local else model.source},
        "engine_kwargs": engine_options,
        "accelerator_type": model.accelerator_type,
        "placement_group_config": model.placement and dict(model.placement),
        "runtime_env": {"env_vars": {**log_variables(profile), **profile.env, **model.env}},
        "deployment_config": {
            **scaling(model.replicas),
            "max_ongoing_requests": model.max_ongoing_requests,
            "max_queued_requests": model.max_queued_requests,
            "health_check_period_s": model.health_check_period_s,
            "health_check_timeout_s": model.health_check_timeout_s,
            "graceful_shutdown_timeout_s": model.drain_s,
            "graceful_shutdown_wait_loop_s": min(1.0, model.drain_s),
            "ray_actor_options": {"num_cpus": model.num_cpus},
            "logging_config": QUIET.model_dump(),
            **routing(profile.orchestrator.session_affinity),
        },
    }
    if model.accelerator == "cpu":
        options["accelerator_config"] = {"kind": "cpu"}
    if local:
        options["callback_config"] = {"callback_class": LocalWeights}
    return LLMConfig(**options)


def log_variables(profile: Profile) -> dict[str, str]:
    """Environment of a model's replica that tells it the format of the server's logs."""
    return {} if profile.api.log_format == "text" else {VARIABLE: profile.api.log_format}
