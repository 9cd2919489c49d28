"""Arguments of HAProxy: Ray's, and the processes that it does not know."""

from pathlib import Path

import pytest

from deployments.cluster.haproxy import arguments
from deployments.cluster.haproxy.arguments import replaced, takeover, values_of, without
from deployments.cluster.haproxy.node import Instance, Node

RAY = ["-db", "-f", "ray.cfg", "-dR", "-sf", "10", "11", "-x", "admin.sock"]


def test_words_of_a_command_line() -> None:
    assert values_of(RAY, "-sf") == ["10", "11"]
    assert values_of(RAY, "-x") == ["admin.sock"]
    assert values_of(RAY, "-D") == []
    assert without(RAY, "-sf", "-x") == ["-db", "-f", "ray.cfg", "-dR"]
    assert replaced(RAY, "-f", "own.cfg")[:3] == ["-db", "-f", "own.cfg"]


@pytest.mark.parametrize(
    ("given", "answering", "added"),
    [
        (RAY, 99, ["-sf", "10", "11", "31", "-x", "SOCKET"]),  # named ones, and one without its supervisor
        (RAY, None, ["-sf", "10", "11", "31"]),  # the one before has just died: nobody hands its ports over
        (RAY[:4], 99, ["-sf", "31", "20", "-x", "SOCKET"]),  # a new manager
    ],
)
def test_those_that_run_are_all_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], answering: int | None, added: list[str]
) -> None:
    node = Node(str(tmp_path))
    running = [Instance(10, 12), Instance(20, 21), Instance(30, 31)]
    if given == RAY:
        running.pop(1)
    monkeypatch.setattr(node, "instances", lambda: running)
    monkeypatch.setattr(node, "answering", lambda: answering)
    monkeypatch.setattr(arguments, "runs", lambda pid: pid in (10, 20))
    if given != RAY:
        running.pop(0)
    assert takeover(given, node) == [*RAY[:4], *(word.replace("SOCKET", node.socket) for word in added)]


def test_the_first_follows_nobody(tmp_path: Path) -> None:
    assert takeover(RAY[:4], Node(str(tmp_path))) == RAY[:4]
