"""Supervisor of HAProxy: the process that Ray starts and signals. Starts HAProxy again if it dies."""

import os
import signal
import sys
import time
from collections.abc import Sequence

from .admin_socket import AdminSocket
from .arguments import replaced, takeover, without
from .configuration import Files, admin_path, edited
from .node import Instance, Node, parent_of, send, write
from .settings import Settings

FORWARDED = (
    signal.SIGUSR1,  # stop listening, and end with the last connection
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGTTOU,  # release the ports, and
    signal.SIGTTIN,  # take them back: of a successor that cannot bind them, and of one that failed
    signal.SIGHUP,
    signal.SIGQUIT,
)
STOPS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
READY_POLL_S = 0.05
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
GIVE_UP_S = 60.0  # without a HAProxy that becomes ready; Ray then starts its manager again


class Supervisor:
    """One HAProxy, and those that take its place when it dies."""

    def __init__(
        self, binary: Sequence[str], arguments: Sequence[str], node: Node, settings: Settings, text: str
    ) -> None:
        """`binary`: programs to start, best first. `arguments`: Ray's, with `-f`. `text`: Ray's configuration."""
        self._binary, self._arguments, self._node = list(binary), list(arguments), node
        self._settings, self._text = settings, text
        self._admin_path = admin_path(text)
        self._admin: AdminSocket | None = None
        self._haproxy = self._guard = 0
        self._ready = self._stopping = False
        self._dead_since: float | None = None
        self._pause_s = FIRST_PAUSE_S

    def run(self) -> int:
        """Run until HAProxy got a signal to stop and has ended. Returns the exit status."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})
        self._guard = start_guard(self._node.folder)
        self._start(first=True)
        while True:
            # Polls only until HAProxy is ready, and while it is to be started again.
            waiting = not self._ready or not self._haproxy
            signals = {*FORWARDED, signal.SIGCHLD}
            got = signal.sigtimedwait(signals, READY_POLL_S if waiting else 3600.0)
            if got is not None and got.si_signo != signal.SIGCHLD:
                self._stopping = self._stopping or got.si_signo in STOPS
                if self._haproxy:
                    send(self._haproxy, got.si_signo)
            status = self._reap()
            if status is not None and (self._stopping or (not self._ready and self._dead_since is None)):
                self._node.forget(os.getpid())
                return status
            if status is not None:
                self._died(status)
            if not self._haproxy and self._stopping:
                self._node.forget(os.getpid())
                return 0
            self._check_patience()
            if not self._haproxy:
                self._start_again()
            elif not self._ready:
                self._check_ready()

    def _reap(self) -> int | None:
        """Exit status of HAProxy, if it has ended; 128 and the signal's number for one that a signal ended."""
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == self._haproxy:
                code = os.waitstatus_to_exitcode(status)
                found = code if code >= 0 else 128 - code
                self._haproxy = 0
            elif pid == self._guard and os.WIFSIGNALED(status):
                self._guard = start_guard(self._node.folder)

    def _died(self, status: int) -> None:
        if self._ready:
            self._dead_since, self._ready, self._pause_s = time.monotonic(), False, 0.0
            print(f"HAProxy ended with status {status}; starting it again.", file=sys.stderr, flush=True)
        self._retry_at = time.monotonic() + self._pause_s
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)

    def _check_patience(self) -> None:
        if self._dead_since is not None and time.monotonic() - self._dead_since > GIVE_UP_S:
            if self._haproxy:
                send(self._haproxy, signal.SIGKILL)
            self._node.forget(os.getpid())
            sys.exit("HAProxy could not be started again.")

    def _start_again(self) -> None:
        if time.monotonic() >= self._retry_at:
            self._node.count_restart()
            self._start(first=False)

    def _start(self, first: bool) -> None:
        """Start HAProxy; `first`: in the place of those that run."""
        own = self._node.config_of(os.getpid())
        files = Files(self._node.folder, self._node.socket)
        write(own, edited(self._text, self._settings, files, self._node.restarts()))
        arguments = takeover(self._arguments, self._node) if first else without(self._arguments, "-sf", "-x")
        arguments = ["-dS", *replaced(arguments, "-f", own)]
        self._haproxy = spawn(self._binary, arguments)
        self._node.record(Instance(os.getpid(), self._haproxy))
        self._check_ready()

    def _check_ready(self) -> None:
        """Answer Ray's questions from the moment on at which HAProxy has the ports."""
        if self._admin_path is not None and self._node.answering() != self._haproxy:
            return
        self._ready, self._dead_since, self._pause_s = True, None, FIRST_PAUSE_S
        if self._admin is None and self._admin_path is not None:
            self._admin = AdminSocket(self._admin_path, self._node)


def spawn(programs: list[str], arguments: list[str]) -> int:
    """Start the first program that can be. Returns its process id."""
    for program in programs[:-1]:
        try:
            return _spawn(program, arguments)
        except OSError as error:
            print(f"{program}: {error.strerror}; starting HAProxy as it is installed.", file=sys.stderr, flush=True)
    return _spawn(programs[-1], arguments)


def _spawn(program: str, arguments: list[str]) -> int:
    # Signals are blocked here, so that none is lost, and would be in HAProxy.
    return os.posix_spawn(
        program, [program, *arguments], os.environ, setsigmask=[], setsigdef=[*FORWARDED, signal.SIGCHLD]
    )


def start_guard(folder: str) -> int:
    """Start the guard of this process's HAProxy: see `guard`. Returns its process id."""
    manager = os.getppid()
    arguments = [folder, str(os.getpid()), str(manager), str(parent_of(manager))]
    program = os.path.dirname(os.path.abspath(__file__))
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", program, "--guard", *arguments],
        os.environ,
        setsigmask=[],
        setsigdef=[signal.SIGTERM],
    )
