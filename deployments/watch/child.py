"""Programs that `python -m deployments.watch` starts: each ends with it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from serving.errors import ConfigError

STOP_S = 10.0


class Child:
    """A running program; as a context manager it is ended at the exit. Its output is in the file `log`."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start `command`. Raises `ConfigError` if it cannot be started."""
        self.name, self.log = name, log
        try:
            with log.open("wb") as output:
                # In a session of its own: Ctrl-C on the terminal reaches this process alone, which ends the others.
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, **(environment or {})},
                )
        except OSError as error:
            raise ConfigError(f"{name} cannot be started ({error.strerror}): {command[0]}.") from None

    def check(self) -> None:
        """Raise `ConfigError` with the last line of its output if it has ended."""
        status = self._process.poll()
        if status is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
            raise ConfigError(f"{self.name} ended with status {status}: {last[-400:]} (all of its output: {self.log})")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def answers(url: str) -> bool:
    """True if a GET of `url` on this machine is answered with 200."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
