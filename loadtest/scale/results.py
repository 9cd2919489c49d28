"""What the scale experiments come to, and where the first limit lies."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtest.results.metrics import Distribution
from loadtest.scale.experiments import Capacity, Held, Overhead
from loadtest.scale.process_usage import CLIENT, Usage

FULL = 0.9  # of a core, or of the machine: what counts as used up

WHAT_TO_SCALE = {
    "orchestrator": "one orchestrator replica is one thread: raise orchestrator.replicas, a core each",
    "haproxy": "the proxy is one process per node: add nodes, each has its own",
    "engines": "the engines' replicas, here one scripted process: raise replicas of the models",
    CLIENT: "the load generator itself: the server can take more than was measured",
}

COLUMNS = (
    "replicas",
    "requests/s",
    "errors",
    "orchestrator cores",
    "requests/s per orchestrator core",
    "at requests/s",
    "overhead p50 ms",
    "overhead p99 ms",
    "generator's lag p99 ms",
)


@dataclass(slots=True)
class ScaleResults:
    machine: Mapping[str, Any]
    settings: Mapping[str, Any]
    cores: int
    held: Held | None = None
    idle_ms: Distribution | None = None  # overhead per layer, one question at a time on one orchestrator replica
    capacities: dict[int, Capacity] = field(default_factory=dict)  # by orchestrator replicas
    overheads: dict[int, Overhead] = field(default_factory=dict)
    profile: dict[str, float] = field(default_factory=dict)  # of one orchestrator replica: shares of its busy time

    def limit(self, replicas: int) -> str:
        """Where the requests/s with so many replicas end, from the cores used while they were measured."""
        cores = self.capacities[replicas].usage.cores
        used = sum(cores.values())
        for kind, count in (("orchestrator", replicas), ("haproxy", 1), ("engines", 1), (CLIENT, 1)):
            if cores.get(kind, 0.0) >= FULL * count and used < FULL * self.cores:
                return f"{kind} ({cores[kind]:.2f} cores): {WHAT_TO_SCALE[kind]}"
        if used >= FULL * self.cores:
            parts = ", ".join(f"{kind} {share:.2f}" for kind, share in _largest(self.capacities[replicas].usage))
            return f"this machine's {self.cores} cores, all in use ({parts}): more cores, then orchestrator replicas"
        return f"none of the processes is full ({used:.2f} of {self.cores} cores used): waiting, not computing"

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": dict(self.machine),
            "settings": dict(self.settings),
            "held": None if self.held is None else asdict(self.held),
            "idle_overhead_ms": None if self.idle_ms is None else asdict(self.idle_ms),
            "capacity": {n: {**asdict(found), "limit": self.limit(n)} for n, found in self.capacities.items()},
            "overhead": {n: asdict(found) for n, found in self.overheads.items()},
            "profile": self.profile,
        }

    def rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for replicas, found in self.capacities.items():
            late = self.overheads.get(replicas)
            per_core = found.requests_per_s / max(found.usage.cores.get("orchestrator", 0.0), 0.01)
            rows.append(
                (
                    str(replicas),
                    f"{found.requests_per_s:.1f}",
                    str(found.errors),
                    f"{found.usage.cores.get('orchestrator', 0.0):.2f}",
                    f"{per_core:.0f}",
                    "" if late is None else f"{late.rate_per_s:.1f}",
                    "" if late is None else f"{late.overhead_ms.p50:.1f}",
                    "" if late is None else f"{late.overhead_ms.p99:.1f}",
                    "" if late is None else f"{late.lag_ms.p99:.1f}",
                )
            )
        return rows

    def sentences(self) -> list[str]:
        """The findings as text."""
        found = []
        if (held := self.held) is not None:
            errors = ", ".join(f"{n} x {kind}" for kind, n in held.errors.items()) or "no error"
            found.append(
                f"{held.most_open} of {held.streams} streams open at once on one orchestrator replica, {held.answered}"
                f" answered whole, {errors}; {held.frames_per_s:.0f} frames/s;"
                f" {held.bytes_per_stream / 1024:.1f} KiB of the replica's memory per open stream."
            )
        if (idle := self.idle_ms) is not None:
            found.append(
                f"One question at a time: {idle.p50:.1f} ms of overhead per layer at p50, {idle.p99:.1f} ms at p99."
            )
        for replicas in self.capacities:
            found.append(f"First limit with {replicas} orchestrator replica(s): {self.limit(replicas)}.")
        if self.profile:
            parts = ", ".join(f"{name} {share:.0%}" for name, share in self.profile.items())
            found.append(f"One orchestrator replica's busy time: {parts}.")
        return found

    def table(self) -> str:
        widths = [max(len(name), 8) + 2 for name in COLUMNS]
        lines = ["".join(f"{name:>{width}}" for name, width in zip(COLUMNS, widths, strict=True))]
        for row in self.rows():
            lines.append("".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
        return "\n".join([*lines, "", *self.sentences()])


def _largest(usage: Usage) -> list[tuple[str, float]]:
    return sorted(usage.cores.items(), key=lambda item: -item[1])[:4]
