"""CPU time of processes that are not part of the benchmark."""

import os
import time
from dataclasses import dataclass, field

import psutil

LIMIT = 0.1  # share of all cores; a measurement with more is repeated


def busy_s() -> float:
    """CPU seconds that all cores have worked, or that other virtual machines have taken from them (steal)."""
    times = psutil.cpu_times()
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return float(sum(getattr(times, name, 0.0) for name in names))


def own_s() -> dict[int, float]:
    """CPU seconds of this process and its descendants, by process id."""
    me = psutil.Process()
    found = {}
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        found[process.pid] = times.user + times.system
    return found


@dataclass(slots=True)
class ForeignLoad:
    """Share of all cores that other processes and virtual machines have used since it was made.

    Processes of the benchmark are this one and its descendants. The time of a descendant that has ended meanwhile
    counts as foreign.
    """

    _started_s: float = field(default_factory=time.perf_counter)
    _busy_s: float = field(default_factory=busy_s)
    _own_s: dict[int, float] = field(default_factory=own_s)

    def share(self) -> float:
        """Foreign CPU seconds over the seconds of all cores, from 0 to 1."""
        elapsed_s = time.perf_counter() - self._started_s
        own = sum(max(now - self._own_s.get(pid, 0.0), 0.0) for pid, now in own_s().items())
        cores = os.cpu_count() or 1
        return min(max((busy_s() - self._busy_s - own) / (elapsed_s * cores), 0.0), 1.0)
