"""Checks of this machine's memory, disk and compilers, before a cluster is started on it."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deployments.config import Profile
from serving.errors import ConfigError

DISK_GIB = 1.0  # for the session's logs and sockets
MEMINFO = Path("/proc/meminfo")
CGROUP_LIMIT, CGROUP_USE = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def default_profile() -> str:
    """Name of the profile that is started if none is named."""
    return "lite" if local_gpus() else "tiny"


def local_gpus() -> int:
    """Number of NVIDIA GPUs that this process may use; 0 without a driver."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([device for device in visible.split(",") if device.strip() and device.strip() != "-1"])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


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
