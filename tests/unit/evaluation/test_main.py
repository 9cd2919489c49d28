"""The command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.__main__ import main
from evaluation.client import Client
from tests.support.rows import TeamServer, question_lines


def test_the_commands_from_questions_to_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = TeamServer()
    monkeypatch.setattr("evaluation.__main__._client", lambda options: Client("http://x", transport=server.transport))
    (tmp_path / "questions.jsonl").write_text(question_lines(3))
    out = str(tmp_path / "run")
    asking = ["run", "--recipes", "team,add", "--dataset", str(tmp_path / "questions.jsonl"), "--out", out]
    assert main([*asking, "--temperature", "0", "--limit", "6"]) == 0
    assert "12 requested, 0 failed, 0 kept" in capsys.readouterr().out
    assert main([*asking, "--temperature", "0"]) == 0
    assert "6 requested, 0 failed, 12 kept" in capsys.readouterr().out
    assert main([*asking, "--temperature", "1"]) == 2
    assert "Choose another --out" in capsys.readouterr().err
    assert main(["judge", out, "--judge", "judge", "--baseline", "add"]) == 0
    assert main(["judge", out, "--judge", "judge", "--grade"]) == 0
    assert main(["report", out, "--out", str(tmp_path / "q.html"), "--budget-latency", "60"]) == 0
    page = (tmp_path / "q.html").read_text()
    assert "Win rate against add, judged by judge" in page
    assert "Ratings from 1 to 10" in page


def test_asking_waits_for_no_library_of_the_analyses() -> None:
    heavy = "{'scipy', 'sklearn', 'plotly', 'sacrebleu'} & set(sys.modules)"
    script = f"import sys, evaluation.__main__; sys.exit(str({heavy}) if {heavy} else 0)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_errors_are_one_sentence_and_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: No answers in")
    assert main(["run", "--dataset", f"{tmp_path}/none", "--out", str(tmp_path), "--recipes", "a"]) == 2
    assert "Cannot read the dataset" in capsys.readouterr().err
