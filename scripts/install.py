"""Install a lock file into .venv, with the standard library only. A second run finds the installation complete.

python3.11 scripts/install.py [--venv .venv] [cpu|gpu]
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = (3, 11)  # version that the lock files were compiled for
DISK_GIB = {"cpu": 6, "gpu": 20}
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

POLL_S = 0.5
DOWNLOADED = re.compile(r"Progress (\d+) of (\d+)")  # of `--progress-bar raw`
DOWNLOADING = re.compile(r"\s+Downloading .*\(([\d.]+ [kMG]B)\)")


class CannotInstall(Exception):
    """The installation is impossible; the message says in one sentence what to change."""


def install(venv: Path, kind: str) -> None:
    """Install requirements/KIND.txt into `venv`.

    Raises:
        CannotInstall: wrong Python version, too little disk, no venv package, or pip failed.
    """
    lock = ROOT / "requirements" / f"{kind}.txt"
    stamp = venv / ".installed"
    installed = f"{kind} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    if stamp.is_file() and stamp.read_text() == installed:
        return
    if sys.version_info[:2] != PYTHON:
        running, required = (".".join(map(str, version)) for version in (sys.version_info[:2], PYTHON))
        raise CannotInstall(
            f"This is Python {running}, but the lock files are for {required}; set PYTHON=/path/to/python{required}."
        )
    free_gib = shutil.disk_usage(venv.parent).free / 2**30
    if free_gib < DISK_GIB[kind] and not venv.exists():
        raise CannotInstall(
            f"Only {free_gib:.1f} GiB are free on the disk of {venv.parent}, but the packages need {DISK_GIB[kind]}"
            " GiB; free some, or set VENV to a folder on another disk."
        )
    if not (venv / "bin" / "python").exists():
        print(f"Creating {venv} ...", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", str(venv)]).returncode:
            raise CannotInstall("`python -m venv` failed; install Python's venv package (python3.11-venv on Debian).")
    packages = sum(line[:1].isalnum() for line in lock.read_text().splitlines())
    print(f"Installing {packages} packages of {lock.relative_to(ROOT)} into {venv} ...", flush=True)
    # Some indexes have the CPU build of torch under its full version; PyTorch's own index is the second attempt.
    attempts: tuple[tuple[str, ...], ...] = ((), ("--extra-index-url", TORCH_CPU_INDEX)) if kind == "cpu" else ((),)
    for options in attempts:
        if _pip(venv, lock, packages, options):
            stamp.write_text(installed)
            return
    raise CannotInstall("pip could not install the lock file; see its last lines above.")


def _pip(venv: Path, lock: Path, packages: int, options: tuple[str, ...]) -> bool:
    """Run pip and show its progress. Returns True if it succeeded; otherwise prints pip's last lines."""
    python = str(venv / "bin" / "python")
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", *_progress_options(python)]
    with subprocess.Popen(
        [*command, *options, "-r", str(lock)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        shown = Progress(packages, venv)
        lines = [line for line in process.stdout if shown.take(line)]
    shown.end()
    if process.returncode == 0:
        return True
    print("".join(lines[-5:]), file=sys.stderr, flush=True)
    return False


def _progress_options(python: str) -> tuple[str, ...]:
    """Option that makes pip print the bytes of a download as lines; pip has it since version 24.1."""
    said = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True).stdout
    found = re.match(r"pip (\d+)\.(\d+)", said)
    return ("--progress-bar", "raw") if found and (int(found[1]), int(found[2])) >= (24, 1) else ()


class Progress:
    """Progress of pip: packages found, bytes of each download, then packages unpacked.

    A line that is written over on a terminal; elsewhere a line for every 25 packages.
    """

    def __init__(self, packages: int, venv: Path) -> None:
        self._packages, self._venv = packages, venv
        self._before = self._installed()
        self._done, self._name, self._ended = 0, "", threading.Event()
        self._watch: threading.Thread | None = None

    def take(self, line: str) -> bool:
        """Show what a line of pip says. Returns False for a line that is about progress only."""
        if found := DOWNLOADED.match(line):
            self._show(f"{self._name}, {int(found[1]) / 1e6:.0f} of {int(found[2]) / 1e6:.0f} MB", passing=True)
            return False
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            self._done += 1
            words = line.removeprefix("Requirement already satisfied:").removeprefix("Collecting").split()
            self._name = words[0]
            self._show(self._name)
        elif found := DOWNLOADING.match(line):
            self._show(f"{self._name}, {found[1]}", passing=True)
        elif line.startswith("Installing collected packages") and self._watch is None:
            self._done, self._packages = 0, line.count(",") + 1
            self._watch = threading.Thread(target=self._unpacked, daemon=True)
            self._watch.start()
        return True

    def end(self) -> None:
        """End the line."""
        self._ended.set()
        if self._watch is not None:
            self._watch.join()
        if sys.stdout.isatty():
            print(flush=True)

    def _unpacked(self) -> None:
        """Count the packages that pip, which prints nothing meanwhile, has unpacked."""
        self._show("unpacking ...", passing=True)
        while True:
            ends = self._ended.wait(POLL_S)
            done = self._installed() - self._before
            while self._done < done:
                self._done += 1
                self._show("unpacked")
            if ends:
                return

    def _installed(self) -> int:
        return sum(1 for _ in self._venv.glob("lib/python*/site-packages/*.dist-info/RECORD"))

    def _show(self, text: str, *, passing: bool = False) -> None:
        """Show a state; `passing`: only on a terminal."""
        state = f"  {self._done}/{self._packages} {text[:60]:60}"
        if sys.stdout.isatty():
            print(f"\r{state}", end="", flush=True)
        elif not passing and self._done % 25 == 0:
            print(state.rstrip(), flush=True)


def has_gpu() -> bool:
    """True if NVIDIA's driver answers."""
    if shutil.which("nvidia-smi") is None:
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0


def main() -> None:
    """Install as the command line says; exit with status 1 and one sentence if that is impossible."""
    parser = argparse.ArgumentParser(
        prog="python3.11 scripts/install.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "kind", nargs="?", choices=("cpu", "gpu"), help="lock file to install; default: gpu if nvidia-smi works"
    )
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="folder to install into; default: .venv")
    arguments = parser.parse_args()
    try:
        install(arguments.venv.absolute(), arguments.kind or ("gpu" if has_gpu() else "cpu"))
    except CannotInstall as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
