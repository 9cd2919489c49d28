"""Parts of the report, in its order."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.torture import (
    abuse,
    deaths,
    delays,
    fuzzers,
    hangups,
    memory,
    overload,
    ports,
    retries,
    tenants,
    termination,
    upstreams,
)
from loadtest.torture.effort import Effort
from loadtest.torture.row import Row


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the report, which can run alone."""

    title: str
    measure: Callable[[Effort], Coroutine[Any, Any, Sequence[Row]]]
    needs_ray: bool = False


PARTS: Mapping[str, Part] = {
    "hangups": Part("Callers that hang up", hangups.measure),
    "upstreams": Part("Faults of upstream servers", upstreams.measure),
    "delays": Part("Stragglers and hedging", delays.measure),
    "retries": Part("Retries under full failure", retries.measure),
    "overload": Part("Overload", overload.measure),
    "abuse": Part("Abusive request bodies", abuse.measure),
    "memory": Part("Memory over 100,000 requests", memory.measure),
    "tenants": Part("Two tenants", tenants.measure),
    "fuzzers": Part("Fuzzers", fuzzers.measure),
    "termination": Part("SIGTERM", termination.measure),
    "ports": Part("Open ports", ports.measure, needs_ray=True),
    "deaths": Part("Processes that die", deaths.measure, needs_ray=True),
    "gcs": Part("Ray's GCS dies", deaths.measure_gcs, needs_ray=True),
}
