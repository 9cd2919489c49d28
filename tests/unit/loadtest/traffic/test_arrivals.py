import random
import statistics
from itertools import pairwise

import pytest

from loadtest.traffic.arrivals import OpenLoop, poisson


class Clock:
    """Time moves only by sleeping, and by `cost_s` for every request sent."""

    def __init__(self, cost_s: float = 0.0, stop_s: float = float("inf")) -> None:
        self.now_s, self.cost_s, self.stop_s = 0.0, cost_s, stop_s
        self.sent: list[tuple[float, float]] = []  # planned, actual

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def send(self, planned_s: float) -> None:
        self.sent.append((planned_s, self.now_s))
        self.now_s += self.cost_s

    def loop(self) -> OpenLoop:
        return OpenLoop(lambda: self.now_s, self.sleep, self.send, lambda: self.now_s < self.stop_s)


def test_poisson_arrivals_have_the_rate_and_exponential_gaps() -> None:
    times = list(poisson(50.0, 400.0, random.Random(3)))
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert times == sorted(times)
    assert times[-1] < 400
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert statistics.fmean(gaps) == pytest.approx(0.02, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.02, rel=0.05)  # exponential: as large as the mean


def test_requests_leave_at_their_planned_times() -> None:
    clock = Clock()
    clock.loop().run(iter([0.5, 3.25, 7.0]))
    assert clock.sent == [(0.5, 0.5), (3.25, 3.25), (7.0, 7.0)]


def test_a_late_generator_sends_everything_and_shows_its_lag() -> None:
    clock = Clock(cost_s=1.0)
    clock.loop().run(iter([0.0, 0.1, 0.2]))
    assert clock.sent == [(0.0, 0.0), (0.1, 1.0), (0.2, 2.0)]


def test_a_stopped_run_sends_no_more() -> None:
    clock = Clock(stop_s=5.0)
    clock.loop().run(iter([1.0, 100.0, 101.0]))
    assert [planned for planned, _ in clock.sent] == [1.0]
    assert clock.now_s <= 6.0  # it does not sleep the schedule out
