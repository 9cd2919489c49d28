"""Programs that the check of the images runs."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.images.errors import CheckFailed

# Debian's package of each program.
PACKAGES = {
    "buildah": "buildah", "debootstrap": "debootstrap", "tar": "tar",
    "unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2",
}  # fmt: skip
SHOWN_EVERY_S = 20.0
LAST_LINES = 15
LIMIT_S = 3600.0  # of one step


def check_programs(programs: Mapping[str, str] = PACKAGES) -> None:
    """Check that this user is root and that the programs are installed.

    Raises:
        CheckFailed: names everything that is missing.
    """
    missing = sorted({package for program, package in programs.items() if shutil.which(program) is None})
    is_root = os.geteuid() == 0
    if missing or not is_root:
        needs = [] if is_root else ["root, for chroot and mounts"]
        steps = [] if is_root else ["run it as root, for example with sudo"]
        if missing:
            needs.append(f"Debian's {', '.join(missing)}")
            steps.append(f"install with: apt-get install --no-install-recommends {' '.join(missing)}")
        raise CheckFailed(f"The check needs {', and '.join(needs)}; {', and '.join(steps)}")


def run(title: str, command: Sequence[str | Path], log: Path, *, limit_s: float = LIMIT_S) -> None:
    """Run a command, with its output in a log file and its last line on the terminal from time to time.

    Raises:
        CheckFailed: the command failed, and its last lines are printed; or it took longer than `limit_s`.
    """
    print(f"{title} ...", flush=True)
    began = shown = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while (status := _status(process)) is None:
                if time.monotonic() - began > limit_s:
                    raise CheckFailed(f"{title}: not done within {limit_s:g} s; the output is in {log}.")
                if time.monotonic() - shown > SHOWN_EVERY_S:
                    shown = time.monotonic()
                    print(f"  {shown - began:4.0f} s  {_last_lines(log, 1)[:100]}", flush=True)
        finally:
            _kill_all(process)
    if status:
        print(_last_lines(log, LAST_LINES), file=sys.stderr, flush=True)
        raise CheckFailed(
            f"{title}: '{Path(command[0]).name}' ended with status {status}; the whole output is in {log}."
        )
    print(f"  done in {time.monotonic() - began:.0f} s", flush=True)


def output(command: Sequence[str | Path]) -> str:
    """Output of a command. Raises `CheckFailed` with its last line of errors if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise CheckFailed(f"'{' '.join(map(str, command))}' failed: {reason}")
    return done.stdout


def _status(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return None


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(log: Path, count: int) -> str:
    text = log.read_bytes()[-8192:].decode(errors="replace").replace("\r", "\n")
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])
