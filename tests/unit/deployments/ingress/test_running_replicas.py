"""Numbers of running replicas: shared answers of the controller, and a controller that does not answer."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.ingress import running_replicas
from deployments.ingress.running_replicas import RunningReplicas, counted

HANDLE: Any = SimpleNamespace(app_name="moa", deployment_name="model:m")


async def test_the_controller_is_asked_once_for_callers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    running = RunningReplicas(lambda: asked.append(threading.current_thread()) or {("moa", "model:m"): len(asked)})  # type: ignore[func-returns-value]
    assert [await running.of(HANDLE), await running.of(HANDLE)] == [1, 1]
    assert asked[0] is not threading.current_thread(), "the call blocks"
    running.forget()
    assert await running.of(HANDLE) == 2
    monkeypatch.setattr(running_replicas, "FRESH_S", 0.0)
    assert await running.of(HANDLE) == 3


async def test_an_unknown_deployment_and_a_lost_controller_are_unknown() -> None:
    def lost() -> dict[tuple[str, str], int]:
        raise ConnectionError

    assert await RunningReplicas(lambda: {("moa", "model:n"): 1}).of(HANDLE) is None
    assert await RunningReplicas(lost).of(HANDLE) is None


async def test_a_controller_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_replicas, "ANSWER_S", 0.01)
    monkeypatch.setattr(running_replicas, "FRESH_S", 0.0)
    back = threading.Event()

    def hangs() -> dict[tuple[str, str], int]:
        back.wait(60)
        return {("moa", "model:m"): 1}

    running = RunningReplicas(hangs)
    assert [await running.of(HANDLE) for _ in range(3)] == [None] * 3
    back.set()
    monkeypatch.setattr(running_replicas, "ANSWER_S", 60.0)
    assert await running.of(HANDLE) == 1


def test_only_running_replicas_count(monkeypatch: pytest.MonkeyPatch) -> None:
    deployments = {
        "model:m": SimpleNamespace(replica_states={"RUNNING": 2, "STARTING": 1}),
        "model:n": SimpleNamespace(replica_states={"STARTING": 1}),
        "model:o": SimpleNamespace(replica_states={}),
    }
    status = SimpleNamespace(applications={"moa": SimpleNamespace(deployments=deployments)})
    monkeypatch.setattr(running_replicas.serve, "status", lambda: status)
    assert counted() == {("moa", "model:m"): 2, ("moa", "model:n"): 0, ("moa", "model:o"): 0}
