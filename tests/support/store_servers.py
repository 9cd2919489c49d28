"""Real PostgreSQL and Redis servers for tests, of Debian's packages. Each ends with its context."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from serving.ports import free_port

START_S = 60.0


@contextmanager
def redis_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """A Redis server without files. Yields its address."""
    port = port or free_port()
    arguments = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log)
    try:
        _wait(["redis-cli", "-p", str(port), "ping"], folder / "redis.log")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


class Postgres:
    """A PostgreSQL server with data in a folder of its own; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        """`folder`: empty, with parents that everybody may enter: the server refuses to run as root."""
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: tuple[str, ...] = ()
        if os.geteuid() == 0:
            self._as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
            shutil.chown(folder, "postgres", "postgres")
        self._run("initdb", "-D", str(folder / "data"), "-U", "moa", "-A", "trust", "--no-sync", "-E", "UTF8")

    @property
    def url(self) -> str:
        """Address of the database."""
        return f"postgresql://moa@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = ("fsync=off", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1")
        options = [word for setting in settings for word in ("-c", setting)]
        command = [
            *self._as_user,
            _program("postgres"),
            "-D",
            str(self.folder / "data"),
            "-p",
            str(self.port),
            *options,
        ]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        ready = [_program("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        _wait(ready, self.folder / "server.log")

    def kill(self) -> None:
        """End the server with SIGKILL, as a lost node does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, _program(program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server that runs."""
    with tempfile.TemporaryDirectory(prefix="moa-postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _program(name: str) -> str:
    """Path of a program of PostgreSQL; Debian's are not on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found:
        return str(found[-1])
    path = shutil.which(name)
    assert path, f"Install PostgreSQL, which has {name}."
    return path


def _wait(command: Sequence[str], log: Path) -> None:
    ends_at = time.monotonic() + START_S
    while subprocess.run(command, capture_output=True).returncode:
        assert time.monotonic() < ends_at, log.read_text()
        time.sleep(0.05)
