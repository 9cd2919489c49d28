"""Ray's reports on the terminal: one line of ours, and the whole in a file."""

from pathlib import Path
from typing import Any

import pytest
from ray._private import worker

from deployments.cluster.reports import LOG, Reports, shorten_reports, summary

DIED = (
    "A worker died or was killed while executing a task by an unexpected system error. To troubleshoot the problem,"
    " check the logs for the dead worker. Lease ID: 08 Worker ID: 0d Node ID: d0 Worker IP address: 127.0.0.1"
    " Worker port: 33475 Worker PID: 12478 Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits"
    " with a connection error code 2. End of file. Some common causes include: (1) the process was killed by the OOM"
    " killer due to high memory usage, (2) ray stop --force was called"
)
STOPPED = (
    "Task ServeController.graceful_shutdown failed. There are infinite retries remaining, so the task will be retried."
    " Error: The actor is dead because it was killed by `ray.kill`."
)


def test_a_report_is_one_line_and_whole_in_the_file(tmp_path: Path) -> None:
    said: list[str] = []
    reports = Reports(tmp_path / LOG, said.append, lambda *_, **__: pytest.fail("printed by Ray"))
    reports({"lines": [DIED], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    reports({"lines": [DIED.replace("12478", "7")], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    assert said == [
        f"A process of the server (pid {pid}) died and is being replaced (details: {tmp_path / LOG})."
        for pid in (12478, 7)
    ]
    assert (tmp_path / LOG).read_text().split("\n\n") == [DIED, DIED.replace("12478", "7"), ""]


def test_a_report_is_printed_although_the_file_cannot_be_written(tmp_path: Path) -> None:
    said: list[str] = []
    Reports(tmp_path / "missing" / LOG, said.append, print)({"lines": [DIED], "pid": "raylet"})
    [line] = said
    assert line.startswith("A process of the server (pid 12478) died")
    assert line.endswith("(No such file or directory)).")


def test_a_report_of_an_ordinary_stop_is_in_the_file_only(tmp_path: Path) -> None:
    said: list[str] = []
    reports = Reports(tmp_path / LOG, said.append, lambda *_, **__: pytest.fail("printed by Ray"))
    lost = STOPPED.replace("graceful_shutdown", "deploy_applications")
    reports({"lines": [STOPPED, lost], "pid": "raylet", "is_err": False})
    [line] = said
    assert line.startswith("Ray: Task ServeController.deploy_applications failed.")
    assert (tmp_path / LOG).read_text().split("\n\n") == [STOPPED, lost, ""]


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ("A worker died or was killed by something new.", "A process of the server died and is being replaced"),
        (
            "2 worker(s) were killed due to the node running low on memory. Refer to ...",
            "The machine ran low on memory, so that Ray ended a process of the server, which is being replaced",
        ),
        (
            "The node with node id: 12 and address: 10.0.0.1 has been marked dead because the detector has missed it.",
            "A node was lost; its replicas are being replaced",
        ),
        ("Something\nelse.", "Ray: Something else"),
        ("x" * 500, "Ray: " + "x" * 157 + "..."),
    ],
)
def test_every_report_is_short(report: str, line: str) -> None:
    assert summary(report) == line


def test_other_lines_and_ray_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[Any] = []
    assert callable(vars(worker)["print_to_stdstream"]), "Ray no longer has it"
    monkeypatch.setattr(worker, "print_to_stdstream", lambda data, ignore_prefix: printed.append((data, ignore_prefix)))
    shorten_reports(tmp_path, lambda line: pytest.fail(line))
    data = {"lines": ["hello"], "pid": 17, "is_err": False}
    worker.print_to_stdstream(data, ignore_prefix=True)  # type: ignore[arg-type]
    assert printed == [(data, True)]
