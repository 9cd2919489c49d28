import subprocess
import sys

import psutil
import pytest

from loadtest.bench import foreign_load
from loadtest.bench.foreign_load import ForeignLoad, own_s


class Clock:
    """Times of the machine and of this benchmark's processes, in seconds."""

    def __init__(self) -> None:
        self.wall, self.busy, self.own = 0.0, 0.0, {1: 0.0}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(foreign_load.time, "perf_counter", lambda: found.wall)
    monkeypatch.setattr(foreign_load, "busy_s", lambda: found.busy)
    monkeypatch.setattr(foreign_load, "own_s", lambda: dict(found.own))
    monkeypatch.setattr(foreign_load.os, "cpu_count", lambda: 2)
    return found


def test_own_processes_are_not_foreign(clock: Clock) -> None:
    load = ForeignLoad(0.0, 0.0, {1: 0.0})
    clock.wall, clock.busy, clock.own = 10.0, 20.0, {1: 12.0, 2: 5.0}
    assert load.share() == pytest.approx(3 / 20)


def test_the_share_is_never_below_zero(clock: Clock) -> None:
    load = ForeignLoad(0.0, 0.0, {1: 0.0})
    clock.wall, clock.busy, clock.own = 10.0, 3.0, {1: 4.0}
    assert load.share() == 0.0


def test_children_are_own_processes() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {psutil.Process().pid, child.pid} <= set(own_s())
        child.communicate(b"")
