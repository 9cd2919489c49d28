"""Results of the scale experiments, and the first limit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtest.results.metrics import Distribution
from loadtest.scale.experiments import Capacity, Held, Overhead
from loadtest.scale.process_usage import CLIENT, Usage

FULL = 0.9  # share of a core, or of all cores, that counts as fully used

WHAT_TO_SCALE = {
    "orchestrator": "one replica is one thread; raise orchestrator.replicas, with a core for each",
    "haproxy": "there is one proxy process per node; add nodes",
    "engines": "all scripted engines are one process; with real models raise their replicas",
    CLIENT: "the load generator is the limit; the server can take more than was measured",
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
    """Results of all experiments."""

    machine: Mapping[str, Any]
    settings: Mapping[str, Any]
    cores: int
    held: Held | None = None
    idle_ms: Distribution | None = None  # overhead per layer, one request at a time on one orchestrator replica
    capacities: dict[int, Capacity] = field(default_factory=dict)  # by orchestrator replicas
    overheads: dict[int, Overhead] = field(default_factory=dict)
    profile: dict[str, float] = field(default_factory=dict)  # shares of one orchestrator replica's busy time

    def limit(self, replicas: int) -> str:
        """Describe the limit of the requests/s with `replicas` replicas, from the cores used during the measurement."""
        cores = self.capacities[replicas].usage.cores
        used = sum(cores.values())
        for kind, count in (("orchestrator", replicas), ("haproxy", 1), ("engines", 1), (CLIENT, 1)):
            if cores.get(kind, 0.0) >= FULL * count and used < FULL * self.cores:
                return f"{kind} ({cores[kind]:.2f} cores): {WHAT_TO_SCALE[kind]}"
        if used >= FULL * self.cores:
            parts = ", ".join(f"{kind} {share:.2f}" for kind, share in _largest(self.capacities[replicas].usage))
            return f"this machine's {self.cores} cores, all in use ({parts}); add cores, then orchestrator replicas"
        return f"no process uses a full core ({used:.2f} of {self.cores} cores used): the time is spent waiting"

    def to_json(self) -> dict[str, Any]:
        """Convert to the content of `scale.json`."""
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
        """Rows of the table, one per number of replicas; see `COLUMNS`."""
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
        """Findings, one sentence each."""
        found = []
        if (held := self.held) is not None:
            errors = ", ".join(f"{n} x {kind}" for kind, n in held.errors.items()) or "no errors"
            found.append(
                f"{held.most_open} of {held.streams} streams open at once on one orchestrator replica, {held.answered}"
                f" completed, {errors}; {held.frames_per_s:.0f} frames/s;"
                f" {held.bytes_per_stream / 1024:.1f} KiB of the replica's memory per open stream."
            )
        if (idle := self.idle_ms) is not None:
            found.append(
                f"One request at a time: {idle.p50:.1f} ms of overhead per layer at p50, {idle.p99:.1f} ms at p99."
            )
        for replicas in self.capacities:
            found.append(f"First limit with {replicas} orchestrator replica(s): {self.limit(replicas)}.")
        if self.profile:
            parts = ", ".join(f"{name} {share:.0%}" for name, share in self.profile.items())
            found.append(f"Busy time of one orchestrator replica: {parts}.")
        return found

    def table(self) -> str:
        """Format rows and findings as text."""
        widths = [max(len(name), 8) + 2 for name in COLUMNS]
        lines = ["".join(f"{name:>{width}}" for name, width in zip(COLUMNS, widths, strict=True))]
        for row in self.rows():
            lines.append("".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
        return "\n".join([*lines, "", *self.sentences()])


def _largest(usage: Usage) -> list[tuple[str, float]]:
    return sorted(usage.cores.items(), key=lambda item: -item[1])[:4]
