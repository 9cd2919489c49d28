"""What the server's processes use: cores and memory, by what they are for."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

# A process belongs to the first of these whose word stands in its command line.
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
    """Since the `UsageMonitor` began."""

    cores: dict[str, float]  # by kind: CPU seconds per second
    memory_bytes: dict[str, int]  # by kind, now: memory that only these processes have (USS)


class UsageMonitor:
    """Of a server's process tree and of this process, which makes the load."""

    def __init__(self, pid: int) -> None:
        self._processes = {process.pid: (process, kind_of(process)) for process in _tree(pid)}
        self._me = psutil.Process()
        self._began = time.perf_counter()
        self._cpu_before = {pid: cpu_s(process) for pid, (process, _) in self._processes.items()}
        self._client_before = cpu_s(self._me)

    def pids(self, kind: str) -> list[int]:
        return [pid for pid, (_, found) in self._processes.items() if found == kind]

    def usage(self) -> Usage:
        elapsed_s = time.perf_counter() - self._began
        cores: dict[str, float] = {CLIENT: (cpu_s(self._me) - self._client_before) / elapsed_s}
        memory: dict[str, int] = {}
        for pid, (process, kind) in self._processes.items():
            used_s = max(cpu_s(process) - self._cpu_before[pid], 0.0)
            cores[kind] = cores.get(kind, 0.0) + used_s / elapsed_s
            memory[kind] = memory.get(kind, 0) + unique_bytes(process)
        return Usage(cores, memory)


def kind_of(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return OTHER
    return next((kind for kind, word in KINDS if word in command), OTHER)


def cpu_s(process: psutil.Process) -> float:
    """User and system time; 0 for a process that is gone."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    seconds: float = times.user + times.system
    return seconds


def unique_bytes(process: psutil.Process) -> int:
    try:
        used: int = process.memory_full_info().uss
    except psutil.Error:
        return 0
    return used


def _tree(pid: int) -> Iterable[psutil.Process]:
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]
