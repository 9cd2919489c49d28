"""Files of a node's supervisors, and HAProxy's admin socket."""

import errno
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments.cluster.haproxy import admin_socket
from deployments.cluster.haproxy.admin_socket import AdminSocket
from deployments.cluster.haproxy.node import Instance, Node, clear_abandoned, parent_of, runs, send, stop, write

INFO = b"Name: HAProxy\nPid: 4711\nUptime_sec: 3\n"


@contextmanager
def sleeping(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sh", "-c", "sleep 60", *arguments])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_instances_are_those_whose_haproxy_runs(tmp_path: Path) -> None:
    node = Node(str(tmp_path))
    with sleeping(node.config_of(7)) as own, sleeping("another program") as other:
        write(node.config_of(7), "text")
        node.record(Instance(7, own.pid))
        node.record(Instance(2**22 + 1, other.pid))  # its number belongs to another process now
        (tmp_path / "moa-2.pid").write_text("nonsense")
        assert node.instances() == [Instance(7, own.pid)]
        assert node.haproxy_of(7) == own.pid
        assert node.haproxy_of(8) is None
        assert not (tmp_path / f"moa-{2**22 + 1}.pid").exists()
        stop(Instance(7, own.pid))
        assert own.wait(30) == -signal.SIGTERM
    assert node.instances() == []
    node.forget(7)
    assert not list(tmp_path.glob("moa-7.*"))


def test_restarts_are_counted_for_the_node(tmp_path: Path) -> None:
    assert Node(str(tmp_path)).restarts() == 0
    assert [Node(str(tmp_path)).count_restart() for _ in range(2)] == [1, 2]
    assert Node(str(tmp_path)).restarts() == 2


def test_only_what_is_ours_is_removed(tmp_path: Path) -> None:
    node = Node(str(tmp_path))
    node.write_pages()
    node.count_restart()
    (tmp_path / "moa-binary-1").mkdir()
    for name in ("haproxy.cfg", "own.sock", "moa-12.cfg"):
        (tmp_path / name).write_text("")
    node.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["haproxy.cfg", "moa-restarts"]


def test_what_ended_sessions_left_is_removed(tmp_path: Path) -> None:
    for name in ("ended", "new", "running", "other"):
        (tmp_path / name / ("moa-binary-1" if name != "other" else "data")).mkdir(parents=True)
        if name in ("ended", "running"):
            os.utime(tmp_path / name / "moa-binary-1", (0, 0))
    node = Node(str(tmp_path / "running"))
    with sleeping(node.config_of(7)) as process:
        node.record(Instance(7, process.pid))
        clear_abandoned(str(tmp_path))
        clear_abandoned(str(tmp_path / "missing"))
    left = {folder.name: sorted(path.name for path in folder.iterdir()) for folder in tmp_path.iterdir()}
    assert left == {
        "ended": [], "new": ["moa-binary-1"], "running": ["moa-7.pid", "moa-binary-1"], "other": ["data"],
    }  # fmt: skip


def test_processes() -> None:
    assert runs(os.getpid())
    assert not runs(2**22 + 1)
    assert not runs(os.getpid(), "an argument that it does not have")
    assert parent_of(os.getpid()) == os.getppid()
    assert parent_of(2**22 + 1) == 0
    send(2**22 + 1, signal.SIGTERM)  # gone


@contextmanager
def haproxy(node: Node) -> Iterator[list[bytes]]:
    """A HAProxy that says its state once, and the commands that reach it."""
    commands: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(node.socket)
        listener.listen()

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    commands.append(connection.recv(100))
                    connection.sendall(INFO)

        thread = threading.Thread(target=serve)
        thread.start()
        yield commands
        thread.join(30)


def test_ray_is_answered_under_the_supervisors_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_socket, "PATIENCE_S", 0.1)
    node = Node(str(tmp_path))
    assert node.answering() is None
    with haproxy(node) as commands:
        assert node.answering() == 4711
        path = str(tmp_path / "admin.sock")
        AdminSocket(path, node)
        assert ask(path, b"show ", b"info\n") == INFO.replace(b"4711", str(os.getpid()).encode())
    assert commands == [b"show info\n"] * 2
    assert (tmp_path / "admin.sock").stat().st_mode & 0o777 == 0o666
    assert sorted(file.name for file in tmp_path.iterdir()) == ["admin.sock", "own.sock"]
    assert ask(path, b"show info\n") == b"", "HAProxy is gone, and may come back"


def test_ray_is_answered_after_the_admin_socket_could_not_accept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(admin_socket, "PATIENCE_S", 0.01)
    monkeypatch.setattr(admin_socket, "POLL_S", 0.001)
    accept, failures = socket.socket.accept, [errno.EMFILE, errno.EMFILE, errno.ECONNABORTED]

    def failing(listener: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            number = failures.pop(0)
            raise OSError(number, os.strerror(number))
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", failing)
    node = Node(str(tmp_path))
    path = str(tmp_path / "admin.sock")
    AdminSocket(path, node)
    assert ask(path, b"show info\n") == b""  # answered, without a HAProxy
    assert failures == []
    said = capsys.readouterr().err
    assert [said.count(os.strerror(number)) for number in (errno.EMFILE, errno.ECONNABORTED)] == [1, 1]


def ask(path: str, *pieces: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(path)
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    return answer
