"""The benchmark of tracing."""

import asyncio

from loadtest import tracing_cost
from tests.support.otlp import collecting


def test_requests_are_recorded_in_one_way_of_three() -> None:
    with collecting() as collector:
        found = asyncio.run(tracing_cost.measure(collector.url, tokens=3, repetitions=1, requests=2))
    assert list(found) == [tracing_cost.OFF, tracing_cost.UNRECORDED, tracing_cost.RECORDED]
    assert min(found.values()) > 0
    requests = collector.named("POST")
    assert len(requests) == 3, "with the one before the measurement"
    assert len(collector.spans) == 3 * (1 + 1 + 7 + 7)
