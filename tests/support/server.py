"""Starts `serve run` as a user does, in a session folder of its own, and stops it with Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from serving.ports import free_port
from tests.support.paths import ROOT

START_S = 400  # on two cores that do other things as well
STOP_S = 60


@dataclass(frozen=True)
class Server:
    url: str
    pid: int | None  # of `serve run`; None where the server is not ours
    folder: Path | None  # its RAY_TMPDIR

    def processes(self, pattern: str = "") -> dict[int, int]:
        """Ids of the server's own processes whose command line has the pattern, each with its parent's."""
        assert self.pid is not None
        command = ["ps", "-ww", "-eo", "pid=,ppid=,args="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [
            (int(pid), int(parent), title)
            for pid, parent, title in (line.split(None, 2) for line in listed.splitlines())
        ]
        ours = {self.pid}
        while more := {pid for pid, parent, _ in rows if parent in ours} - ours:
            ours |= more
        return {pid: parent for pid, parent, title in rows if pid in ours and re.search(pattern, title)}

    def engine_process(self, model: str) -> int:
        """The process in which the model's engine runs, below its replica."""
        replicas = self.processes(f"model:{re.escape(model)}$")
        found = [pid for pid, parent in self.processes("EngineCor").items() if parent in replicas]
        assert len(found) == 1, f"{model} has the engine processes {found}"
        return found[0]

    def gcs_address(self) -> str:
        """Where another process joins the cluster."""
        assert self.folder is not None
        [port_file] = (self.folder / "ray" / "session_latest").glob("gcs_server_port_*")
        return f"127.0.0.1:{port_file.read_text()}"


@contextmanager
def served(app: str, *arguments: str) -> Iterator[Server]:
    """`serve run APP ARGUMENTS` on a free port, ready."""
    port = free_port()
    # Short, since Ray puts sockets below it whose paths must stay below 108 bytes.
    with tempfile.TemporaryDirectory(prefix="moa-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "serve.log"
        environment = {**os.environ, "RAY_TMPDIR": folder, "PYTHONUNBUFFERED": "1"}
        environment.pop("RAY_ADDRESS", None)
        command = [str(Path(sys.executable).parent / "serve"), "run", app, *arguments, f"port={port}"]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, log)
            yield Server(url, process.pid, Path(folder))
        finally:
            _stop(process)
            _check_that_all_ended(Path(folder))


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/ready", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    pytest.fail(f"the server did not start (exit code {process.poll()}):\n{log.read_text()[-4000:]}", pytrace=False)


def processes_of(folder: Path) -> dict[int, str]:
    """Command lines of the processes that were started with this RAY_TMPDIR, also if their parent has ended."""
    setting = f"RAY_TMPDIR={folder}".encode()
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if setting in (place / "environ").read_bytes().split(b"\0"):
                found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has just ended
            continue
    return found


def _check_that_all_ended(folder: Path) -> None:
    """Fail if a process of a server that was stopped still runs, and end it."""
    deadline = time.monotonic() + STOP_S
    while left := processes_of(folder):
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"the server was stopped, but these processes ran on: {left}", pytrace=False)
        time.sleep(0.2)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
