"""Trainings as files."""

from pathlib import Path

import pytest

from training.job import main


def test_a_job_that_cannot_be_read_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json")]) == 2
    assert "error: Cannot read the job" in capsys.readouterr().err
    wrong = tmp_path / "job.json"
    wrong.write_text('{"method": "ppo", "base": "b", "data": "d", "out": "o"}')
    assert main([str(wrong)]) == 2
    assert f"error: {wrong}: " in capsys.readouterr().err


def test_weights_that_cannot_be_loaded_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"prompt": [1], "completion": [2]}\n')
    job = tmp_path / "job.json"
    job.write_text(f'{{"method": "sft", "base": "{tmp_path}/none", "data": "{data}", "out": "{tmp_path}/out"}}')
    assert main([str(job)]) == 2
    assert "cannot be loaded: " in capsys.readouterr().err
