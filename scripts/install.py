"""Install a lock file into .venv, with the standard library only. A second run finds the installation complete.

python3.11 scripts/install.py [--venv .venv] [cpu|gpu]
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = (3, 11)  # version that the lock files were compiled for
DISK_GIB = {"cpu": 6, "gpu": 20}
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


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
    """Run pip with a progress line. Returns True if it succeeded; otherwise prints pip's last lines."""
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
                package = line.removeprefix("Requirement already satisfied:").removeprefix("Collecting").split()[0]
                end = "" if sys.stdout.isatty() else "\n"
                print(f"\r  {done}/{packages} {package[:50]:50}", end=end, flush=True)
        elif line.startswith("Installing collected"):
            print("\r  unpacking ...".ljust(70), flush=True)
    if process.wait() == 0:
        return True
    print("\n" + "".join(lines[-5:]), file=sys.stderr, flush=True)
    return False


def has_gpu() -> bool:
    """True if NVIDIA's driver answers."""
    if shutil.which("nvidia-smi") is None:
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0


def main() -> None:
    """Install as the command line says; exit with status 1 and one sentence if that is impossible."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
