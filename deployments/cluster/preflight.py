"""Checks before a start: of the profile, and of this machine's ports, GPUs, memory, disk and compilers.

Nothing here imports Ray, vLLM or torch, which take seconds: what is wrong is said at once.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deployments.cluster.environment import ray_tracing_settings
from deployments.config import AppArgs, Profile, load_profile
from deployments.plan.checks import check_profile
from serving.errors import ConfigError
from serving.ports import LOOPBACK, check_port

# Ports of Ray Serve that an operator may choose, with their uses; by default they are free ones: `loopback.py`.
PORTS = {
    "RAY_SERVE_HAPROXY_METRICS_PORT": "HAProxy's metrics",
    "RAY_SERVE_HAPROXY_STATS_PORT": "HAProxy's page",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": "Serve's own proxy",
}
DISK_GIB = 1.0  # for the session's logs and sockets
DEFAULTS = {"lite": 3, "small": 1, "tiny": 0}  # GPUs that each needs
MEMINFO = Path("/proc/meminfo")
CGROUP_LIMIT, CGROUP_USE = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def names_cluster(environment: Mapping[str, str]) -> bool:
    """True if the environment names a cluster that exists, whose nodes may have files that this machine lacks."""
    return environment.get("RAY_ADDRESS", "local") != "local"


def check_start(args: AppArgs, *, joins: bool) -> Profile:
    """Check all that can be known within a second. Returns the profile that `args` chooses.

    Not checked: the length of prompts in tokens, which takes longer (`check_profile`).

    Args:
        args: Arguments of the start.
        joins: The server will run on a cluster that exists: its machines are not checked, nor the weights.

    Raises:
        ConfigError: the profile or a variable of tracing is unknown or wrong, the weights are missing, a port is in
            use, the store's file cannot be written, or the machine is too small.
    """
    ray_tracing_settings(os.environ)
    profile = load_profile(args.profile or default_profile())
    check_profile(profile, weights_here=not joins, contexts=False)
    if not joins:
        check_host(profile, args)
    return profile


def check_host(profile: Profile, args: AppArgs) -> None:
    """Raise `ConfigError` if this machine lacks what the profile needs.

    Checked: ports, GPUs, memory, disk, a compiler, keys and the file of the store.
    """
    check_ports(args, os.environ)
    if not args.autoscaling:
        check_gpu_count(profile, local_gpus(), "this machine")
    profile.store.check_file({**os.environ, **profile.env})
    check_machine(profile, memory_gib=available_memory_gib(), disk=session_folder())


def default_profile() -> str:
    """Name of the profile that is started if none is named: the largest of DEFAULTS that the machine's GPUs can run."""
    gpus = local_gpus()
    return next(name for name, needed in DEFAULTS.items() if gpus >= needed)


def local_gpus() -> int:
    """Number of NVIDIA GPUs that this process may use; 0 without a driver."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([device for device in visible.split(",") if device.strip() and device.strip() != "-1"])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def check_ports(args: AppArgs, environment: Mapping[str, str]) -> None:
    """Raise `ConfigError` if the API's port, or one that `environment` sets for Ray Serve, cannot be bound."""
    check_port(args.host, args.port, "add port=NUMBER")
    taken = {args.port: "the API"}
    for name, use in PORTS.items():
        if (given := environment.get(name)) is None:
            continue
        if not given.isdecimal() or not 0 < int(given) < 65536:
            raise ConfigError(f"Set {name} to a port, a number from 1 to 65535, not '{given}'.")
        if (other := taken.setdefault(int(given), use)) != use:
            raise ConfigError(f"{name} is {given}, which is the port of {other}; change one of them.")
        check_port(LOOPBACK, int(given), f"change {name}", f" of {use}")


def check_gpu_count(profile: Profile, gpus: int, where: str) -> None:
    """Raise `ConfigError` if `gpus` are too few for the minimum number of replicas, or for one of a model.

    `where`: "the cluster" or "this machine", which has them.
    """
    needed = max([profile.gpus, *(model.gpus * model.gpu_share for model in profile.models)])
    if needed > gpus:
        more = "add nodes" if where == "the cluster" else "use a machine or a cluster that has them"
        raise ConfigError(
            f"The profile '{profile.name}' needs {needed:g} GPUs, but {where} has {gpus}; {more}, or choose a smaller"
            " profile."
        )


def check_machine(profile: Profile, *, memory_gib: float | None, disk: Path) -> None:
    """Raise `ConfigError` if the machine cannot run the profile.

    Args:
        profile: The profile to be started.
        memory_gib: Available memory. None: unknown, not checked.
        disk: Folder in which Ray keeps its session.

    Raises:
        ConfigError: memory, disk, a compiler or an external endpoint's key is missing.
    """
    if memory_gib is not None and memory_gib < profile.memory_gib:
        raise ConfigError(
            f"The profile '{profile.name}' needs {profile.memory_gib:g} GiB of memory, but only {memory_gib:.1f} GiB"
            " are available; stop other programs, or use a larger machine."
        )
    while not disk.exists():  # Ray makes it
        disk = disk.parent
    free_gib = shutil.disk_usage(disk).free / 2**30
    if free_gib < DISK_GIB:
        raise ConfigError(
            f"Only {free_gib:.1f} GiB of disk are free in {disk}, but a session needs {DISK_GIB:g} GiB; free some, or"
            " set RAY_TMPDIR to a folder on another disk."
        )
    for external in profile.external:
        external.engine()  # raises if its key is missing
    for model in profile.models:
        # Triton compiles its launchers in C, torch.compile its CPU kernels in C++; nothing else needs a compiler.
        compilers = ("gcc", "cc", "clang") if model.accelerator == "gpu" else ("g++", "clang++")
        if not _never_compiles(profile, model.env) and not any(map(shutil.which, compilers)):
            raise ConfigError(
                f"'{model.id}' compiles kernels, but {compilers[0]} is not installed; install it (build-essential on"
                " Debian), or set TORCH_COMPILE_DISABLE: '1' in the model's env."
            )


def _never_compiles(profile: Profile, env: Mapping[str, str]) -> bool:
    return {**profile.env, **env}.get("TORCH_COMPILE_DISABLE") == "1"


def available_memory_gib() -> float | None:
    """Memory that programs can still allocate: the kernel's estimate or the container's limit, whichever is less."""
    found = []
    if MEMINFO.is_file():
        rows = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
        found.append(int(rows["MemAvailable"].split()[0]) / 2**20)
    if CGROUP_LIMIT.is_file() and (limit := CGROUP_LIMIT.read_text().strip()).isdigit():
        found.append((int(limit) - int(CGROUP_USE.read_text())) / 2**30)
    return min(found, default=None)


def session_folder() -> Path:
    """Folder in which a cluster started on this machine keeps its files."""
    return Path(os.environ.get("RAY_TMPDIR", "/tmp"))
