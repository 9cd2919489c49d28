"""Progress of an installation, with a program in place of pip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.install import _pip
from tests.support.paths import ROOT

# Prints as pip does, says nothing while it unpacks, and leaves the packages as pip does.
PIP = """#!{python}
import pathlib, sys, time
if "--version" in sys.argv:
    print("pip {version} from somewhere")
    sys.exit()
home = pathlib.Path(sys.argv[0]).parents[1] / "lib" / "python3.11" / "site-packages"
names = [f"package{{number}}" for number in range({packages})]
for name in names:
    print(f"Collecting {{name}}==1.0 (from -r lock.txt (line 1))", flush=True)
    print(f"  Downloading {{name}}-1.0-py3-none-any.whl (210.5 MB)", flush=True)
    if "raw" in sys.argv:
        print("Progress 1000000 of 210500000", flush=True)
        print("Progress 210500000 of 210500000", flush=True)
print(f"Installing collected packages: {{', '.join(names)}}", flush=True)
for name in names:
    folder = home / f"{{name}}-1.0.dist-info"
    folder.mkdir()
    (folder / "RECORD").touch()
if {fails}:
    print("ERROR: No space left on device", flush=True)
    sys.exit(1)
print("Successfully installed everything", flush=True)
"""


def fake(venv: Path, *, version: str = "26.0", packages: int = 60, fails: bool = False) -> None:
    (venv / "bin").mkdir(parents=True)
    (venv / "lib/python3.11/site-packages/pip-1.0.dist-info").mkdir(parents=True)
    (venv / "lib/python3.11/site-packages/pip-1.0.dist-info/RECORD").touch()
    program = venv / "bin" / "python"
    program.write_text(PIP.format(python=sys.executable, version=version, packages=packages, fails=fails))
    program.chmod(0o755)


def test_packages_are_counted_while_they_are_downloaded_and_while_they_are_unpacked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(tmp_path)
    assert _pip(tmp_path, tmp_path / "lock.txt", 60, ())
    assert capsys.readouterr().out.splitlines() == [
        "  25/60 package24==1.0",
        "  50/60 package49==1.0",
        "  25/60 unpacked",
        "  50/60 unpacked",
    ]


@pytest.mark.parametrize(
    ("version", "shown"), [("26.0", "1 of 210 MB"), ("24.1", "210 of 210 MB"), ("24.0", "210.5 MB")]
)
def test_a_terminal_shows_each_download(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, version: str, shown: str
) -> None:
    fake(tmp_path, version=version, packages=2)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert _pip(tmp_path, tmp_path / "lock.txt", 2, ())
    states = [state.rstrip() for state in capsys.readouterr().out.split("\r")]
    assert f"  1/2 package0==1.0, {shown}" in states
    assert states[-1] == "  2/2 unpacked"


def test_a_failure_shows_the_last_lines_and_no_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake(tmp_path, packages=2, fails=True)
    assert not _pip(tmp_path, tmp_path / "lock.txt", 2, ())
    errors = capsys.readouterr().err
    assert "ERROR: No space left on device" in errors
    assert "Progress" not in errors


def test_it_runs_with_the_standard_library_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-I", str(ROOT / "scripts" / "install.py"), "--help"],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python3.11 scripts/install.py")
