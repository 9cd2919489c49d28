"""Open-loop schedule of requests.

In a closed loop each user waits for its answer before it asks again: a slow server gets fewer requests, which hides
its latency (coordinated omission). An open loop sends at planned times, independently of the server. The delay of the
load generator itself is reported as the schedule lag.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


def poisson(rate_per_s: float, duration_s: float, rng: random.Random) -> Iterator[float]:
    """Yield arrival times in seconds from the start, in order, with exponential gaps of mean `1 / rate_per_s`."""
    at_s = rng.expovariate(rate_per_s)
    while at_s < duration_s:
        yield at_s
        at_s += rng.expovariate(rate_per_s)


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Sender of requests on a schedule. Clock and scheduler are given, so that it runs with gevent or without."""

    now_s: Callable[[], float]  # seconds since the start of the run
    sleep: Callable[[float], object]
    send: Callable[[float], object]  # starts a request with this planned time, and returns at once
    running: Callable[[], bool]

    def run(self, times_s: Iterator[float]) -> None:
        """Send every planned request, late ones too: without them a slow run would look fast."""
        for planned_s in times_s:
            while self.running() and (wait_s := planned_s - self.now_s()) > 0:
                self.sleep(min(wait_s, 1.0))  # wakes to check if the run was stopped
            if not self.running():
                return
            self.send(planned_s)
