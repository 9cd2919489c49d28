"""When requests are sent.

A closed loop has so many users, each waiting for its answer before it asks again: a slow server is asked less often,
which hides how slow it is (coordinated omission). An open loop sends at the planned times whatever the server
does, as a crowd of strangers would; how late the generator itself was is reported as the schedule lag.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


def poisson(rate_per_s: float, duration_s: float, rng: random.Random) -> Iterator[float]:
    """Arrival times in seconds from the start, in order, with exponential gaps of mean `1 / rate_per_s`."""
    at_s = rng.expovariate(rate_per_s)
    while at_s < duration_s:
        yield at_s
        at_s += rng.expovariate(rate_per_s)


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Sends on a schedule. The functions are the clock's and the scheduler's, so that it runs in any kind of loop."""

    now_s: Callable[[], float]  # seconds since the run's start
    sleep: Callable[[float], object]
    send: Callable[[float], object]  # starts one request, given its planned time, and returns at once
    running: Callable[[], bool]

    def run(self, times_s: Iterator[float]) -> None:
        """Every planned request is sent, however late: dropping the late ones would make a slow run look fast."""
        for planned_s in times_s:
            while self.running() and (wait_s := planned_s - self.now_s()) > 0:
                self.sleep(min(wait_s, 1.0))  # wakes to see whether the run was stopped
            if not self.running():
                return
            self.send(planned_s)
