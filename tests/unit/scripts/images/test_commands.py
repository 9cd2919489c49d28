"""Programs that the check runs."""

import os
import sys
from pathlib import Path

import pytest

from scripts.images import commands
from scripts.images.commands import check_programs, output, run
from scripts.images.errors import CheckFailed
from tests.support.waiting import until


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CheckFailed, match=r"needs Debian's one, two; install with: .* one two$"):
        check_programs({"no-such-program": "two", "no-such-either": "one", "no-third": "one", "sh": "dash"})


def test_another_user_than_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CheckFailed, match=r"needs root, for chroot and mounts; run it as root"):
        check_programs({"sh": "dash"})


def test_everything_that_is_missing_is_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        CheckFailed, match=r"needs root.*, and Debian's one; run it as root.*, and install with: .* one$"
    ):
        check_programs({"no-such-either": "one"})


def test_a_failed_command_shows_its_last_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    with pytest.raises(CheckFailed, match=f"^Trying: 'sh' ended with status 3; the whole output is in {log}"):
        run("Trying", ["sh", "-c", "for i in $(seq 50); do echo line $i; done; exit 3"], log)
    shown = capfd.readouterr()
    assert shown.out.startswith("Trying ...\n")
    assert shown.err.splitlines()[-1] == "line 50"
    assert "line 1\n" not in shown.err
    assert "line 1\n" in log.read_text()


def test_the_last_line_of_a_long_command_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "SHOWN_EVERY_S", 0.0)
    run(
        "Trying",
        [sys.executable, "-c", "import time; print('half done', flush=True); time.sleep(2.5)"],
        tmp_path / "log",
    )
    assert "half done" in capfd.readouterr().out


async def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(CheckFailed, match=r"^Trying: not done within 2 s"):
        run("Trying", ["sh", "-c", f"sleep 600 & echo $! > {pid_file}; wait"], tmp_path / "log", limit_s=2)
    state = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    await until(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_output_of_a_command_or_its_last_error() -> None:
    assert output(["echo", "text"]) == "text\n"
    with pytest.raises(CheckFailed, match=r"^'sh -c .*' failed: second$"):
        output(["sh", "-c", "echo first >&2; echo second >&2; exit 1"])
