"""Cores and memory used by the server's processes, by kind."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

# Kind of a process: the first entry whose word is in its command line.
KINDS: tuple[tuple[str, str], ...] = (
    ("orchestrator", "ServeReplica:default:ingress"),
    ("engines", "ServeReplica:default:scripted"),
    ("haproxy", "haproxy"),
    ("serve's controller and proxy", "Serve"),
    ("serve's controller and proxy", "Proxy"),
    ("ray", "ray"),
)
OTHER = "other"
CLIENT = "load generator"


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage since the start of a `UsageMonitor`."""

    cores: dict[str, float]  # by kind: CPU seconds per second
    memory_bytes: dict[str, int]  # by kind, at the end: memory unique to these processes (USS)


class UsageMonitor:
    """Monitor of a server's process tree and of this process, the load generator."""

    def __init__(self, pid: int) -> None:
        self._processes = {process.pid: (process, kind_of(process)) for process in _tree(pid)}
        self._me = psutil.Process()
        self._began = time.perf_counter()
        self._cpu_before = {pid: cpu_s(process) for pid, (process, _) in self._processes.items()}
        self._client_before = cpu_s(self._me)

    def pids(self, kind: str) -> list[int]:
        """Process ids of one kind."""
        return [pid for pid, (_, found) in self._processes.items() if found == kind]

    def usage(self) -> Usage:
        """Measure the usage up to now."""
        elapsed_s = time.perf_counter() - self._began
        cores: dict[str, float] = {CLIENT: (cpu_s(self._me) - self._client_before) / elapsed_s}
        memory: dict[str, int] = {}
        for pid, (process, kind) in self._processes.items():
            used_s = max(cpu_s(process) - self._cpu_before[pid], 0.0)
            cores[kind] = cores.get(kind, 0.0) + used_s / elapsed_s
            memory[kind] = memory.get(kind, 0) + unique_bytes(process)
        return Usage(cores, memory)


def kind_of(process: psutil.Process) -> str:
    """Classify a process by its command line."""
    try:
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return OTHER
    return next((kind for kind, word in KINDS if word in command), OTHER)


def cpu_s(process: psutil.Process) -> float:
    """User and system time; 0 if the process has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    seconds: float = times.user + times.system
    return seconds


def unique_bytes(process: psutil.Process) -> int:
    """Memory unique to the process (USS); 0 if the process has ended."""
    try:
        used: int = process.memory_full_info().uss
    except psutil.Error:
        return 0
    return used


def _tree(pid: int) -> Iterable[psutil.Process]:
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]
