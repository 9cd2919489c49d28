"""Installs a lock file into .venv with nothing but Python's own library; a second run sees that it is there.

python3.11 scripts/install.py [--venv .venv] [cpu|gpu]
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = (3, 11)  # what the lock files were made for
DISK_GIB = {"cpu": 6, "gpu": 20}
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class CannotInstall(Exception):
    """In one sentence: what to change."""


def install(venv: Path, kind: str) -> None:
    """Fill `venv` from requirements/KIND.txt. Raises `CannotInstall`."""
    lock = ROOT / "requirements" / f"{kind}.txt"
    stamp = venv / ".installed"
    wanted = f"{kind} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    if sys.version_info[:2] != PYTHON:
        have = ".".join(map(str, sys.version_info[:2]))
        raise CannotInstall(f"This is Python {have}, but the lock files are for 3.11; set PYTHON=/path/to/python3.11.")
    free_gib = shutil.disk_usage(venv.parent).free / 2**30
    if free_gib < DISK_GIB[kind] and not venv.exists():
        raise CannotInstall(
            f"Only {free_gib:.1f} GiB are free on the disk of {venv.parent}, and the packages need {DISK_GIB[kind]};"
            " make room, or set VENV=/another/place."
        )
    if not (venv / "bin" / "python").exists():
        print(f"Creating {venv} ...", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", str(venv)]).returncode:
            raise CannotInstall("`python -m venv` failed; install Python's venv package (python3.11-venv on Debian).")
    packages = sum(line[:1].isalnum() for line in lock.read_text().splitlines())
    print(f"Installing {packages} packages of {lock.relative_to(ROOT)} into {venv} ...", flush=True)
    # The CPU build of torch is found under its full version where an index has it, and on PyTorch's own otherwise.
    extra: tuple[tuple[str, ...], ...] = ((), ("--extra-index-url", TORCH_CPU_INDEX)) if kind == "cpu" else ((),)
    for attempt in extra:
        if _pip(venv, lock, packages, attempt):
            stamp.write_text(wanted)
            return
    raise CannotInstall("pip could not install the lock file; its last lines above say what is missing.")


def _pip(venv: Path, lock: Path, packages: int, options: tuple[str, ...]) -> bool:
    """Run pip with a progress line; whether it succeeded. Its last lines are shown where not."""
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    process = subprocess.Popen(
        [*command, *options, "-r", str(lock)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines: list[str] = []
    done = 0
    for line in process.stdout:
        lines.append(line)
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            done += 1
            if sys.stdout.isatty() or done % 25 == 0:
                end = "" if sys.stdout.isatty() else "\n"
                print(f"\r  {done}/{packages} {line.split()[1][:50]:50}", end=end, flush=True)
        elif line.startswith("Installing collected"):
            print("\r  unpacking ...".ljust(70), flush=True)
    if process.wait() == 0:
        return True
    print("\n" + "".join(lines[-5:]), file=sys.stderr, flush=True)
    return False


def has_gpu() -> bool:
    """Whether NVIDIA's driver answers."""
    if shutil.which("nvidia-smi") is None:
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=("cpu", "gpu"), help="default: gpu where nvidia-smi works")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    arguments = parser.parse_args()
    try:
        install(arguments.venv.absolute(), arguments.kind or ("gpu" if has_gpu() else "cpu"))
    except CannotInstall as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
