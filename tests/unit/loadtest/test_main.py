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


async def test_a_sweep_tries_rates_until_its_end(tmp_path: Path) -> None:
    engine = ScriptedEngine("m", "a word or two", itl_s=0.001)
    options = ["--sweep", "--rate", "20", "--sweep-max", "40", "--duration", "1", "--slo", "e2e_ms<=60000"]
    command = [sys.executable, "-m", "loadtest", "run", *options, "--out", str(tmp_path)]
    async with running(app_of({"m": engine})) as host:
        process = await asyncio.create_subprocess_exec(
            *command, "--host", host, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert "At least 40 requests/s meet the SLO" in output.decode()
    found = json.loads((tmp_path / "sweep.json").read_text())
    assert [(step["rate_per_s"], step["met"]) for step in found["steps"]] == [(20, True), (40, True)]
    assert found["settings"]["model"] == "m"
    for step in found["steps"]:
        assert step["requests"] > 0
        one = json.loads((tmp_path / f"rate-{step['rate_per_s']:g}" / "summary.json").read_text())
        assert one["summary"]["requests"] == step["requests"]
