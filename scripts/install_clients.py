"""Install the clients that tests/clients/trio runs, each into an environment of its own. A second run does nothing.

.venv/bin/python -m scripts.install_clients [NAME ...]

Python clients: requirements/clients/NAME.txt into .venv-clients/NAME. Node clients: the package-lock.json of
tests/clients/trio/NAME into the folder node_modules beside it.
"""

import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.install import ROOT, TORCH_CPU_INDEX
from serving.command_line import CommandLine

LOCKS = ROOT / "requirements" / "clients"
NODE = ROOT / "tests" / "clients" / "trio"
ENVIRONMENTS = ROOT / ".venv-clients"
AT_ONCE = 4  # installations are mostly downloads
LAST_LINES = 5


class CannotInstall(Exception):
    """An environment cannot be installed; the message says which, and why."""


def names() -> list[str]:
    """Names of all environments."""
    return [*python_names(), *node_names()]


def python_names() -> list[str]:
    """Names of the lock files of Python clients."""
    return sorted(lock.stem for lock in LOCKS.glob("*.txt"))


def node_names() -> list[str]:
    """Names of the folders of Node clients."""
    return sorted(lock.parent.name for lock in NODE.glob("*/package-lock.json"))


def folder_of(name: str) -> Path:
    """Folder of an environment: with `bin/python`, or with the packages of Node."""
    return NODE / name / "node_modules" if name in node_names() else ENVIRONMENTS / name


def lock_of(name: str) -> Path:
    """File with the exact versions of an environment."""
    return NODE / name / "package-lock.json" if name in node_names() else LOCKS / f"{name}.txt"


def is_installed(name: str) -> bool:
    """True if the environment has what its lock file says."""
    stamp = folder_of(name) / ".installed"
    return stamp.is_file() and stamp.read_text() == _digest(name)


def install(name: str) -> None:
    """Install one environment, unless it is installed.

    Raises:
        CannotInstall: the name is unknown, or a command failed.
    """
    if name not in names():
        raise CannotInstall(f"There is no environment '{name}'; choose from: {', '.join(names())}.")
    if is_installed(name):
        return
    print(f"Installing {lock_of(name).relative_to(ROOT)} ...", flush=True)
    if name in node_names():
        _install_node(name)
    else:
        _install_python(name)
    (folder_of(name) / ".installed").write_text(_digest(name))


def _digest(name: str) -> str:
    return hashlib.sha256(lock_of(name).read_bytes()).hexdigest()


def _install_node(name: str) -> None:
    if shutil.which("npm") is None:
        raise CannotInstall("There is no 'npm'; install it (Debian: npm).")
    _run(name, ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], NODE / name)


def _install_python(name: str) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    folder, lock = folder_of(name), lock_of(name)
    _run(name, [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    python = str(folder / "bin" / "python")
    lines = lock.read_text().splitlines()
    # Builds for CPUs are in no public package index under their full version. pip knows where this machine has them.
    special = [line for line in lines if "+cpu" in line and not line.lstrip().startswith("#")]
    plain = folder / "requirements.txt"
    plain.write_text("".join(f"{line}\n" for line in lines if line not in special))
    _run(name, [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, "-r", str(plain)])
    if special:
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", *special]
        try:
            _run(name, pip)
        except CannotInstall:
            _run(name, [*pip, "--extra-index-url", TORCH_CPU_INDEX])


def _run(name: str, command: list[str], folder: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise CannotInstall(f"The environment '{name}' cannot be installed: `{' '.join(command[:4])}` failed.\n{last}")


def main() -> None:
    """Install the named environments, or all; exit with status 1 and the reasons if one cannot be installed."""
    parser = CommandLine(prog="python -m scripts.install_clients", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all ({', '.join(names())})")
    chosen = parser.parse_args().names or names()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = [error for error in pool.map(_failure, chosen) if error is not None]
    if failures:
        sys.exit("\n".join(f"Error: {error}" for error in failures))


def _failure(name: str) -> CannotInstall | None:
    try:
        install(name)
    except CannotInstall as error:
        return error
    return None


if __name__ == "__main__":
    main()
