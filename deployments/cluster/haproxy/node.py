"""Files of the supervisors of one node, in the folder of Ray's configuration.

Each supervisor has `moa-PID.cfg`, the configuration of its HAProxy, and `moa-PID.pid`, the process id of that HAProxy.
"""

import os
import re
import shutil
import signal
import socket
import time
from contextlib import suppress
from typing import NamedTuple

from .binary import FOLDER
from .pages import BY_STATUS

SOCKET = "own.sock"  # HAProxy's admin socket: no longer than Ray's `admin.sock`, since paths of sockets are bounded
TIMEOUT_S = 5.0
ABANDONED_S = 60.0  # age of a copy of the program whose HAProxy must have started by now


class Instance(NamedTuple):
    """A supervisor and its HAProxy, by process id."""

    supervisor: int
    haproxy: int


class Node:
    """The folder, and what is in it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.socket = os.path.join(folder, SOCKET)

    def config_of(self, supervisor: int) -> str:
        """Path of a supervisor's configuration."""
        return os.path.join(self.folder, f"moa-{supervisor}.cfg")

    def write_pages(self) -> None:
        """Write the error pages that the configuration names."""
        for status, page in BY_STATUS.items():
            write(os.path.join(self.folder, f"moa-{status}.http"), page.response())

    def record(self, instance: Instance) -> None:
        """Remember an HAProxy that was started."""
        write(self._pid_file(instance.supervisor), str(instance.haproxy))

    def forget(self, supervisor: int) -> None:
        """Remove a supervisor's files."""
        for path in (self._pid_file(supervisor), self.config_of(supervisor)):
            remove(path)

    def haproxy_of(self, supervisor: int) -> int | None:
        """Process id of a supervisor's HAProxy, if it runs."""
        try:
            with open(self._pid_file(supervisor)) as file:
                pid = int(file.read())
        except (OSError, ValueError):
            return None
        return pid if runs(pid, self.config_of(supervisor)) else None

    def unrecorded_haproxy_of(self, supervisor: int) -> int | None:
        """Process id of a supervisor's HAProxy that runs although its file is gone, or was not written yet.

        A supervisor that is killed as it starts its HAProxy, and a folder that is removed, leave such a one.
        """
        return next((pid for pid in processes() if pid != supervisor and runs(pid, self.config_of(supervisor))), None)

    def instances(self) -> list[Instance]:
        """HAProxies of this node that run, with or without their supervisor; the files of others are removed."""
        found = []
        for name in sorted(os.listdir(self.folder)):
            if match := re.fullmatch(r"moa-(\d+)\.(pid|cfg)", name):
                supervisor = int(match[1])
                haproxy = self.haproxy_of(supervisor)
                if haproxy is None and not runs(supervisor):
                    self.forget(supervisor)
                elif haproxy is not None and match[2] == "pid":
                    found.append(Instance(supervisor, haproxy))
        return found

    def restarts(self) -> int:
        """Restarts of HAProxy on this node so far."""
        try:
            with open(os.path.join(self.folder, "moa-restarts")) as file:
                return int(file.read())
        except (OSError, ValueError):
            return 0

    def count_restart(self) -> int:
        """Count one more restart. Returns the sum."""
        count = self.restarts() + 1
        write(os.path.join(self.folder, "moa-restarts"), str(count))
        return count

    def answering(self) -> int | None:
        """Process id of the HAProxy that answers at the admin socket; `None`: none does."""
        found = re.search(rb"^Pid: (\d+)$", self.ask(b"show info\n"), re.MULTILINE)
        return int(found[1]) if found else None

    def ask(self, command: bytes) -> bytes:
        """HAProxy's answer to a command; empty if it does not answer."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(self.socket)
                connection.sendall(command)
                pieces = []
                while piece := connection.recv(65_536):
                    pieces.append(piece)
                return b"".join(pieces)
        except OSError:
            return b""

    def clear(self) -> None:
        """Remove what supervisors made here, except the count of restarts."""
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            if name.startswith(FOLDER):
                shutil.rmtree(path, ignore_errors=True)
            elif name == SOCKET or re.fullmatch(r"moa-\d+\.(pid|cfg|http)", name):
                remove(path)

    def _pid_file(self, supervisor: int) -> str:
        return os.path.join(self.folder, f"moa-{supervisor}.pid")


def clear_abandoned(parent: str) -> None:
    """Remove what ended sessions left in their folders in `parent`: Ray may end everything at once, guards included."""
    try:
        entries = list(os.scandir(parent))
    except OSError:
        return
    for entry in entries:
        with suppress(OSError):  # of another user, or just removed
            copies = [name for name in os.listdir(entry.path) if name.startswith(FOLDER)]
            ages_s = [time.time() - os.stat(os.path.join(entry.path, name)).st_mtime for name in copies]
            node = Node(entry.path)
            if copies and min(ages_s) > ABANDONED_S and not node.instances():
                node.clear()


def runs(pid: int, argument: str = "") -> bool:
    """True if the process runs, and has the argument: a number may have become another process's."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read().split(b"\0")
    except OSError:
        return False
    return arguments != [b""] and (not argument or argument.encode() in arguments)


def processes() -> list[int]:
    """Process ids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parent_of(pid: int) -> int:
    """Process id of a process's parent; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def stop(instance: Instance) -> None:
    """End an HAProxy and its open connections."""
    send(instance.haproxy, signal.SIGTERM)


def write(path: str, text: str) -> None:
    """Replace a file at once."""
    draft = f"{path}.{os.getpid()}.tmp"
    with open(draft, "w") as file:
        file.write(text)
    os.replace(draft, path)


def remove(path: str) -> None:
    """Remove a file that may be gone."""
    with suppress(FileNotFoundError):
        os.unlink(path)
