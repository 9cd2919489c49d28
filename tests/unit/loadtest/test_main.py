"""`python -m loadtest run` against a scripted server, in a process of its own: Locust patches the standard library."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from serving.engines.scripted import ScriptedEngine
from tests.support.api import app_of, running


@pytest.mark.parametrize(
    ("arguments", "slo", "code"),
    [(["--users", "3", "--think-s", "0"], "e2e_ms<=60000", 0), (["--rate", "20"], "e2e_ms<=0.001", 1)],
    ids=["closed loop, met", "open loop, failed"],
)
async def test_a_headless_run_ends_by_itself_and_says_how_it_went(
    tmp_path: Path, arguments: list[str], slo: str, code: int
) -> None:
    engine = ScriptedEngine("m", "a word or two", itl_s=0.001)
    command = [sys.executable, "-m", "loadtest", "run", "--duration", "1", "--out", str(tmp_path), "--slo", slo]
    async with running(app_of({"m": engine})) as host:
        process = await asyncio.create_subprocess_exec(
            *command, "--host", host, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
    assert process.returncode == code, output.decode()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["passed"] is (code == 0)
    assert summary["summary"]["errors"] == {}
    assert summary["summary"]["completed"] == len(engine.requests) - 2  # two probed the tokenizer
    assert set(summary["scenarios"]) <= {"streaming", "chat", "multi-turn"}
    assert ("lag_ms" in summary["summary"]["distributions"]) is ("--rate" in arguments)
