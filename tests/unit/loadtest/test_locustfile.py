"""Locust's own command line, and the open loop, against a scripted server. Each in a process of its own, since
Locust patches the standard library on import."""

import asyncio
import json
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineUnavailable
from serving.ports import free_port
from serving.types import GenerateRequest
from tests.support.api import app_of, running

LOCUST = ("-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "-t", "3", "--think-s", "0", "--only-summary")


async def ran(*command: str) -> tuple[int | None, str]:
    """Its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--slo", "e2e_ms<=60000,error_share<=0"], 0, "met     error_share<=0  (measured 0)"),
        (["--slo", "e2e_ms<=0.001"], 1, "FAILED  goodput_share>=0.95"),
        (["--slo", "e2e_ms<=60000", "-u", "2", "--processes", "2", "-t", "8"], 0, "met     goodput_share>=0.95"),
        (["--slo", "fast<=1"], 2, "'fast' is not a measure"),
    ],
    ids=["met", "failed", "met, two workers", "could not run"],
)
async def test_locusts_own_command_judges_the_slo(arguments: list[str], code: int, said: str) -> None:
    engine = ScriptedEngine("m", "a word or two", itl_s=0.01)
    async with running(app_of({"m": engine})) as host:
        port = str(free_port())  # of the master: the default is in use where two tests run at once
        found, output = await ran(
            *LOCUST, "--host", host, "--master-bind-port", port, "--master-port", port, *arguments
        )
    assert found == code, output
    assert said in output


@pytest.mark.parametrize(("slo", "code"), [("", 0), ("error_share<=0.1", 1)], ids=["no SLO", "too many errors"])
async def test_both_commands_judge_a_run_with_errors_alike(slo: str, code: int, tmp_path: Path) -> None:
    def every_second_fails() -> Callable[[GenerateRequest], str]:
        asked = count()

        def answer(_: GenerateRequest) -> str:
            number = next(asked)
            if number > 1 and number % 2:  # the first two probe the tokenizer
                raise EngineUnavailable("m", "gone")
            return "a word or two"

        return answer

    run = ("-m", "loadtest", "run", "--duration", "2", "--users", "1", "--out", str(tmp_path), "--think-s", "0")
    for command in (LOCUST, run):
        async with running(app_of({"m": ScriptedEngine("m", every_second_fails(), itl_s=0.01)})) as host:
            found, output = await ran(*command, "--host", host, "--slo", slo)
        assert "503" in output, output
        assert found == code, output
        assert f"Verdict: {'FAILED: error_share<=0.1' if code else 'passed: there is no SLO'}" in output


async def test_the_open_loop_counts_every_turn(tmp_path: Path) -> None:
    engine = ScriptedEngine("m", "a word or two")
    run = ("-m", "loadtest", "run", "--duration", "4", "--rate", "60", "--scenarios", "multi-turn", "--think-s", "0")
    async with running(app_of({"m": engine})) as host:
        code, output = await ran(*run, "--host", host, "--out", str(tmp_path))
    assert code == 0, output
    assert "open, 60 requests/s: 30.2 arrivals/s of 1.99 requests" in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["settings"]["loop"].startswith("open, 60 requests/s: 30.2 arrivals/s")
    assert summary["summary"]["requests"] == pytest.approx(240, rel=0.35)  # without counting turns, 480
