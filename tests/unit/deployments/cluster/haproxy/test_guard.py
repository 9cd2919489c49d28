"""The guard of an HAProxy without its supervisor: how long it goes on."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.cluster.haproxy import guard
from deployments.cluster.haproxy.node import Instance, Node, write

GONE = 2**22 + 1


class World:
    """A node whose HAProxy runs until it is stopped, and a clock that waits for nothing."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node, self.now_s, self.stopped_s = Node(str(folder)), 0.0, -1.0
        self.others: list[Instance] = []
        self.until_s = float("inf")
        write(self.node.config_of(GONE), "text")
        monkeypatch.setattr(guard, "Node", lambda _: self.node)
        monkeypatch.setattr(guard, "stop", self.stop)
        monkeypatch.setattr(self.node, "haproxy_of", lambda _: None if self.ended() else 5)
        monkeypatch.setattr(self.node, "instances", lambda: self.others)
        monkeypatch.setattr("time.sleep", self.sleep)
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)

    def ended(self) -> bool:
        return self.stopped_s >= 0 or self.now_s >= self.until_s

    def stop(self, instance: Instance) -> None:
        assert instance == (GONE, 5)
        self.stopped_s = self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        assert self.now_s < 1000, "it never ends"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_it_ends_at_once_with_ray(world: World) -> None:
    guard.main(world.node.folder, GONE, GONE, GONE)
    assert world.stopped_s == 0
    assert os.listdir(world.node.folder) == []


def test_a_supervisor_ends_with_ray(world: World) -> None:
    with subprocess.Popen(["sleep", "60"]) as supervisor:
        world.until_s = 0.0  # its HAProxy ends with it
        guard.main(world.node.folder, supervisor.pid, os.getpid(), GONE)
        assert supervisor.wait() == -signal.SIGTERM


def test_one_of_several_that_ends_is_enough() -> None:
    with subprocess.Popen(["sleep", "60"]) as lasting, subprocess.Popen(["true"]) as short:
        guard.wait_for_one(guard.opened(lasting.pid), guard.opened(short.pid))
        assert lasting.poll() is None
        lasting.kill()


def test_it_waits_for_another_manager(world: World) -> None:
    guard.main(world.node.folder, GONE, GONE, os.getpid())
    assert guard.SUCCESSOR_S < world.stopped_s < guard.SUCCESSOR_S + 1


def test_it_drains_when_another_took_its_place(world: World) -> None:
    world.others, world.until_s = [Instance(9, 6)], 100.0
    guard.main(world.node.folder, GONE, GONE, os.getpid())
    assert world.stopped_s == -1
    assert os.listdir(world.node.folder) == []


def test_it_goes_on_as_long_as_its_manager_lives(world: World) -> None:
    world.until_s = 900.0
    guard.main(world.node.folder, GONE, os.getpid(), os.getpid())
    assert world.stopped_s == -1


def test_processes_that_end_are_noticed() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        descriptor = guard.opened(process.pid)
        assert not guard.ended(descriptor)
        process.kill()
        assert guard.ended(descriptor, None)
        assert descriptor is not None
        os.close(descriptor)
    assert guard.opened(GONE) is None
    assert guard.ended(None)


def test_the_program_is_the_guard_if_it_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments.cluster.haproxy import program

    seen: list[object] = []
    record: Callable[..., None] = lambda *given: seen.extend(given)  # noqa: E731
    monkeypatch.setattr(guard, "main", record)
    assert program.main(["--guard", "/folder", "1", "2", "3"], {}) == 0
    assert seen == ["/folder", 1, 2, 3]
