"""Ray cluster of the application: the one at RAY_ADDRESS, or one started on this machine's loopback interface."""

import logging
import math
import os
from functools import partial
from pathlib import Path

import ray
from ray import serve
from ray.serve.config import HTTPOptions

from deployments.cluster.interrupts import interrupt_once
from deployments.cluster.loopback import REPLICA_HOOK, keep_to_loopback
from deployments.cluster.preflight import check_gpu_count, check_host, default_profile, local_gpus, names_cluster
from deployments.cluster.proxy import drain_proxy, proxy_folder
from deployments.cluster.reports import shorten_reports
from deployments.cluster.terminal import claim_terminal, say
from deployments.config import AppArgs, Profile, load_profile
from deployments.plan.checks import check_profile
from serving.errors import ConfigError
from serving.failures import said
from serving.ports import LOOPBACK

HOST = "MOA_HAPROXY_HOST"
OBJECT_STORE_BYTES = 256 * 2**20  # nothing large passes through it: each engine reads its weights itself


def prepare(args: AppArgs) -> tuple[Profile, bool]:
    """Check the profile and start or join a cluster for it. Returns the profile, and True if a cluster was started.

    Raises:
        ConfigError: the profile cannot work on this machine or cluster.
    """
    claim_terminal()
    profile = load_profile(args.profile or default_profile())
    check_profile(profile, weights_here=not joins_cluster())
    local = start_cluster(profile, args)
    if not args.autoscaling:
        check_gpus(profile)
    return profile, local


def joins_cluster() -> bool:
    """True if the server is started on a cluster that exists, whose nodes may have files that this machine lacks."""
    return ray.is_initialized() or names_cluster(os.environ)


def start_cluster(profile: Profile, args: AppArgs) -> bool:
    """Connect to the cluster at RAY_ADDRESS, or start one on this machine. Returns True if one was started.

    Raises:
        ConfigError: the machine is too small or too busy, or a port is in use.
    """
    if joins_cluster():
        if not ray.is_initialized():
            ray.init(namespace="serve")
            shorten_reports(session_logs(), say)
        return False
    check_host(profile, args)
    keep_to_loopback()
    interrupt_once(partial(drain_here, profile.orchestrator.drain_s))
    os.environ[HOST] = args.host  # read by HAProxy, which Ray starts
    try:
        context = ray.init(
            address="local",
            namespace="serve",
            # Ray counts CPUs for placement only: engines that share cores need one each in this count.
            num_cpus=max(os.cpu_count() or 1, math.ceil(profile.cpus)),
            num_gpus=local_gpus(),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=args.dashboard,
            log_to_driver=args.logs,
            logging_level=logging.WARNING,
            runtime_env={"worker_process_setup_hook": REPLICA_HOOK},
        )
    except Exception as error:  # Ray raises bare Exception if one of its processes starts too slowly
        raise ConfigError(
            f"Ray did not start on this machine; it may be too busy: try again. ({said(error)})"
        ) from error
    shorten_reports(session_logs(), say)
    if args.dashboard and context.dashboard_url:  # on another port than 8265 if that is in use
        say(f"Ray's dashboard: http://{context.dashboard_url}")
    # The replicas' own ports are on the loopback interface, whatever HAProxy listens on.
    serve.start(http_options=HTTPOptions(host=LOOPBACK, port=args.port))
    return True


def drain_here(within_s: float) -> None:
    """Let the server of this process end its answers, for at most so long, before it is stopped."""
    if ray.is_initialized():
        drain_proxy(proxy_folder(ray.get_runtime_context().get_node_id()), within_s, say)


def session_logs() -> Path:
    """Folder of the logs of Ray's session, on the machines of the cluster."""
    context = ray.get_runtime_context()
    return Path(context.get_temp_dir()) / context.get_session_name() / "logs"


def check_gpus(profile: Profile) -> None:
    """Raise `ConfigError` if the cluster has too few GPUs for the minimum number of replicas, or for one of a model."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    check_gpu_count(profile, int(resources.get("GPU", 0)), "the cluster")
    for model in profile.models:
        if model.accelerator_type and f"accelerator_type:{model.accelerator_type}" not in resources:
            raise ConfigError(
                f"'{model.id}' needs {model.accelerator_type} GPUs, but the cluster has none; change accelerator_type."
            )
