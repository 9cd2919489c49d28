"""The cluster that the application runs on: the one that RAY_ADDRESS names, or one started here on loopback."""

import logging
import math
import os
import shutil
import socket
import subprocess

import ray
from ray import serve
from ray.serve.config import HTTPOptions

from deployments.cluster.loopback import REPLICA_HOOK, keep_to_loopback
from deployments.cluster.preflight import available_memory_gib, check_machine, session_folder
from deployments.config import AppArgs, Profile, load_profile
from deployments.plan.checks import check_profile
from serving.errors import ConfigError

OBJECT_STORE_BYTES = 256 * 2**20  # nothing large crosses it: weights are read by each engine itself


def prepare(args: AppArgs) -> tuple[Profile, bool]:
    """The checked profile, with a cluster for it; whether that was started here.

    Raises:
        ConfigError: the profile cannot work on this machine or cluster.
    """
    profile = load_profile(args.profile or ("lite" if local_gpus() else "tiny"))
    check_profile(profile)
    local = start_cluster(profile, args)
    if not args.autoscaling:
        check_gpus(profile)
    return profile, local


def local_gpus() -> int:
    """NVIDIA GPUs that this process may use; 0 where there is no driver."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([device for device in visible.split(",") if device.strip() and device.strip() != "-1"])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def check_port(host: str, port: int) -> None:
    """Raise `ConfigError` where something listens already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"Port {port} on {host} cannot be used ({error.strerror}); stop what listens there, or add port=NUMBER."
            ) from None


def start_cluster(profile: Profile, args: AppArgs) -> bool:
    """Connect to the cluster that RAY_ADDRESS names, or start one here; whether one was started.

    Raises:
        ConfigError: the machine is too small or too busy, or the port is taken.
    """
    if ray.is_initialized():
        return False
    if os.environ.get("RAY_ADDRESS", "local") != "local":
        ray.init(namespace="serve")
        return False
    check_machine(profile, memory_gib=available_memory_gib(), disk=session_folder())
    check_port(args.host, args.port)
    keep_to_loopback()
    try:
        ray.init(
            address="local",
            namespace="serve",
            # Ray counts CPUs for placement only; engines that share cores still each need one to be counted.
            num_cpus=max(os.cpu_count() or 1, math.ceil(profile.cpus)),
            num_gpus=local_gpus(),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=args.dashboard,
            log_to_driver=args.logs,
            logging_level=logging.WARNING,
            runtime_env={"worker_process_setup_hook": REPLICA_HOOK},
        )
    except Exception as error:  # Ray raises bare ones where one of its processes is late
        raise ConfigError(f"Ray did not start on this machine, which may be too busy; try again. ({error})") from error
    serve.start(http_options=HTTPOptions(host=args.host, port=args.port))
    return True


def check_gpus(profile: Profile) -> None:
    """Raise `ConfigError` where the cluster has fewer GPUs than the profile's least number of replicas needs."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    there = int(resources.get("GPU", 0))
    if profile.gpus > there:
        raise ConfigError(
            f"The profile '{profile.name}' needs {profile.gpus} GPUs, but the cluster has {there}; add nodes, or choose"
            " a smaller profile."
        )
    for model in profile.models:
        kind = f"accelerator_type:{model.accelerator_type}"
        if model.accelerator_type and kind not in resources:
            raise ConfigError(
                f"'{model.id}' wants {model.accelerator_type} GPUs, but the cluster has none; change accelerator_type."
            )
