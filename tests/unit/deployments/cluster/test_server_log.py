"""The log file of a server: the errors in it, which the terminal shows, and the files of earlier starts."""

import logging
import os
from pathlib import Path

import pytest

from deployments.cluster import server_log
from deployments.cluster.server_log import KEPT, LAST_LINES, SHOWN_LINES, Errors, LogReader, create_log
from serving.log_format import JsonFormatter

TOKEN = "2026-11-29 17:53:25,700\tWARNING authentication_token_setup.py:85 -- Token authentication is enabled."
STARTED = 'INFO 2026-11-29 17:53:35,132 serve 17110 -- Started Serve in namespace "serve".'
TRITON = (
    "\x1b[33mWARNING\x1b[0m \x1b[90m11-29 17:53:37\x1b[0m \x1b[90m[importing.py:83]\x1b[0m Triton is installed, but"
)
DUMP = "[2026-11-29 17:53:20,650 E 17110 17200] core_worker.cc:123: :info_message: Failed to connect to GCS."
SERVE_ERROR = "ERROR 2026-11-29 17:53:35,132 controller 17110 -- Deployment 'model:x' failed to start."
RAY_ERROR = "2026-11-29 17:53:25,700\tERROR worker.py:85 -- Unhandled error: lost"
VLLM_ERROR = (
    "\x1b[31mERROR\x1b[0m \x1b[90m11-29 17:53:37\x1b[0m \x1b[90m[core.py:83]\x1b[0m EngineCore failed to start."
)
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "x.py", line 1, in <module>',
    "    f()",
    "RuntimeError: Deploying application default failed",
]


def shown(*lines: str) -> list[str]:
    errors = Errors()
    return [line for line in lines if errors.of(line)]


@pytest.mark.parametrize("line", [TOKEN, STARTED, TRITON, DUMP, "", "a line without a level", "errors: 0"])
def test_warnings_progress_and_dumps_are_not_shown(line: str) -> None:
    assert shown(line) == []


def own(level: int) -> str:
    """An entry of the server's own log as JSON."""
    return JsonFormatter().format(logging.LogRecord("serving.api", level, "x.py", 1, "request x failed", None, None))


def test_warnings_as_json_are_not_shown() -> None:
    assert shown(RAY_ERROR, own(logging.WARNING), own(logging.INFO)) == [RAY_ERROR]


@pytest.mark.parametrize(
    "line", [SERVE_ERROR, RAY_ERROR, VLLM_ERROR, own(logging.ERROR), "Error: the profile 'x' needs 7 GiB of memory."]
)
def test_errors_are_shown(line: str) -> None:
    assert shown(TOKEN, line, STARTED) == [line]


def test_a_traceback_is_shown_up_to_its_exception() -> None:
    assert shown(TRITON, *TRACEBACK, "another line", STARTED) == TRACEBACK


def test_lines_behind_a_warning_belong_to_it() -> None:
    assert shown(TOKEN, "  details of the warning", RAY_ERROR, "  details of the error", "", "no more") == [
        RAY_ERROR,
        "  details of the error",
    ]


def test_a_long_error_is_cut() -> None:
    assert len(shown(RAY_ERROR, *["  more"] * 100)) == SHOWN_LINES


def test_errors_are_shown_as_they_arrive_and_the_last_ones_when_it_is_closed(tmp_path: Path) -> None:
    path, said = tmp_path / "log", list[str]()
    path.touch()
    reader = LogReader(path, said.append)
    with path.open("a") as file:
        file.write(f"{TOKEN}\n{VLLM_ERROR}\n{STARTED}\n{RAY_ERROR}\n")
    reader.close()
    assert said == ["ERROR 11-29 17:53:37 [core.py:83] EngineCore failed to start.", RAY_ERROR]
    assert reader.found == 2


def test_nothing_is_shown_of_a_stop(tmp_path: Path) -> None:
    path, said = tmp_path / "log", list[str]()
    path.touch()
    reader = LogReader(path, said.append)
    reader.silence()
    path.write_text(f"{SERVE_ERROR}\n")
    reader.close()
    assert said == []
    assert path.read_text() == f"{SERVE_ERROR}\n", "it is in the file"


def test_the_last_lines_are_those_of_a_server_that_ended_without_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{number}\n\n" for number in range(100)) + f"{TRITON}\n")
    reader = LogReader(path, pytest.fail)
    reader.close()
    *numbers, last = reader.last_lines()
    assert numbers == [str(number) for number in range(101 - LAST_LINES, 100)]
    assert last == "WARNING 11-29 17:53:37 [importing.py:83] Triton is installed, but"


def test_a_log_is_private_and_old_ones_are_removed(tmp_path: Path) -> None:
    home = tmp_path / "new" / f"moa-logs-{os.getuid()}"
    home.mkdir(parents=True, mode=0o700)
    for number in range(KEPT + 5):
        (home / f"server-20200101-0000{number:02}-1.log").touch()
    path = create_log(tmp_path / "new")
    assert path.parent == home
    assert path.stat().st_mode & 0o777 == 0o600
    left = sorted(home.iterdir())
    assert len(left) == KEPT
    assert left[-1] == path


def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_log(tmp_path)
    monkeypatch.setattr(server_log.os, "getuid", lambda: 4711)
    (tmp_path / "moa-logs-4711").mkdir()
    with pytest.raises(PermissionError, match="another user has made it"):
        create_log(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        create_log(tmp_path / "file")
