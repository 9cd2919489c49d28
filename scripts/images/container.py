"""Container of an image, started without a daemon: `container.sh` in namespaces of its own."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.images.errors import CheckFailed
from scripts.images.storage import Image

SCRIPT = Path(__file__).with_name("container.sh")
NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc")
START_S = 30.0  # until the first process runs


class Container:
    """Runs an image's command as its user, without privileges, until `stop` or the end of the `with` block."""

    def __init__(self, image: Image, root: Path, log: Path) -> None:
        self._words = as_user(image)
        self._log = log.open("wb")
        self._outside = subprocess.Popen(
            ["unshare", *NAMESPACES, "--fork", "--kill-child", SCRIPT, root, *self._words, *image.command],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._first = self._first_process(image.command[0])

    def _first_process(self, program: str) -> int:
        """Process id, on this machine, of the container's process 1, once that runs the image's command."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._outside.poll() is None:
            for child in _children(self._outside.pid):
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if Path(words[0].decode()).name == Path(program).name:
                    return child
            time.sleep(0.05)
        self._kill()
        raise CheckFailed(f"The container did not start; its output is in {self._log.name}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()

    def _kill(self) -> None:
        # Process 1, and with it all others of its namespace: --kill-child is lost when process 1 changes its user.
        for child in _children(self._outside.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._outside.kill()
        self._outside.wait()
        self._log.close()

    @property
    def status(self) -> int | None:
        """Exit status of the container's command; None while it runs."""
        return self._outside.poll()

    def run(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a program in the container, as its user. Its status is 124 if it was stopped after `timeout_s`."""
        enter = ["nsenter", "--target", str(self._first), "--mount", "--pid", "--net", "--uts", "--ipc", "--root"]
        return subprocess.run(
            [*enter, *self._words, "timeout", f"{timeout_s:g}", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip

    def stop(self, within_s: float) -> int:
        """Send SIGTERM to process 1, as a container runtime does. Returns the exit status.

        Raises:
            CheckFailed: it did not end in time.
        """
        os.kill(self._first, signal.SIGTERM)
        try:
            return self._outside.wait(within_s)
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"The server did not end within {within_s:g} s after SIGTERM.") from None


def _children(pid: int) -> list[int]:
    """Process ids of a process' children; none if it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def as_user(image: Image) -> list[str]:
    """Words before a command that give it the image's user, environment and folder, and no privileges."""
    user, _, group = str(image.config["User"]).partition(":")
    group = group or user  # as in the image's /etc/passwd
    variables = [f"{name}={value}" for name, value in image.environment.items()]
    return [
        "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--inh-caps=-all",
        "--bounding-set=-all",
        "env", "-i", "-C", image.config["WorkingDir"], *variables,
    ]  # fmt: skip
