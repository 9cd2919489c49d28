"""Fuzzers of bodies, server-sent events and YAML: hypothesis by structure, atheris by coverage."""

import asyncio
import importlib.util
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from loadtest.bench.contenders import plain_environment
from loadtest.torture.effort import Effort
from loadtest.torture.fuzz_inputs import INPUTS
from loadtest.torture.fuzz_targets import TARGETS
from loadtest.torture.row import Row

BATCH = 200  # examples between two looks at the clock
ATHERIS_S = 30.0  # more than its time that its process may take to start
ATHERIS_TARGETS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "events", "recipe")


def run_hypothesis(name: str, seconds: float) -> tuple[int, str]:
    """Feed a target for `seconds`; the number of inputs and the first failure, with its input, or ""."""
    target, count = TARGETS[name], 0
    ends = time.monotonic() + seconds
    last = b""

    def once(data: bytes) -> None:
        nonlocal count, last
        count, last = count + 1, data
        target(data)

    checks = settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )
    batch = 0
    while time.monotonic() < ends:
        try:
            seed(batch)(checks(given(INPUTS[name])(once)))()
        except Exception as error:  # whatever the target raises is the finding
            return count, f"{type(error).__name__} with {last[:200]!r}"
        batch += 1
    return count, ""


async def run_atheris(name: str, seconds: float, out: Path) -> tuple[int, str]:
    """Feed a target for `seconds` in a process of its own; as `run_hypothesis`."""
    command = [sys.executable, "-m", "loadtest.torture.fuzz_coverage", name]
    limits = [f"-max_total_time={seconds:.0f}", f"-artifact_prefix={out}/", "-print_final_stats=1", "-max_len=4096"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *limits,
        env=plain_environment({}),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds + ATHERIS_S + 60):
            _, output = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 0, "an input that takes longer than the whole run"
    lines = output.decode(errors="replace").splitlines()
    units = [line.split()[-1] for line in lines if "number_of_executed_units" in line]
    count = int(units[0]) if units else 0
    if process.returncode:
        why = [line for line in lines if "Broken" in line or "Error" in line or "Exception" in line]
        return count, (why or lines or ["no message"])[-1][:300]
    return count, ""


async def measure(effort: Effort) -> list[Row]:
    """Measure one row per fuzzer and kind of input."""
    rows = []
    found: dict[str, str] = {}
    inputs = 0
    each_s = effort.fuzz_s / len(TARGETS)
    for name in TARGETS:
        effort.say(f"hypothesis: {name}")
        count, failure = await asyncio.to_thread(run_hypothesis, name, each_s)
        inputs += count
        if failure:
            found[name] = failure
    rows.append(_row("hypothesis, by structure", inputs, effort.fuzz_s, [*TARGETS], found))
    rows.append(await _by_coverage(effort))
    return rows


async def _by_coverage(effort: Effort) -> Row:
    if importlib.util.find_spec("atheris") is None:
        promise = "No input breaks the server: atheris, by coverage"
        why = "atheris is not installed: .venv/bin/pip install -r requirements/fuzz.txt"
        return Row(promise, "not run", "no failure", None, why)
    found: dict[str, str] = {}
    inputs = 0
    effort.out.mkdir(parents=True, exist_ok=True)
    for name in ATHERIS_TARGETS:
        effort.say(f"atheris: {name}")
        count, failure = await run_atheris(name, effort.fuzz_s / len(ATHERIS_TARGETS), effort.out)
        inputs += count
        if failure:
            found[name] = failure
    return _row("atheris, by coverage", inputs, effort.fuzz_s, [*ATHERIS_TARGETS], found)


def _row(how: str, inputs: int, seconds: float, names: list[str], found: dict[str, str]) -> Row:
    return Row(
        f"No input breaks the server: {how}",
        f"{inputs:,} inputs in {seconds:.0f} s, to {', '.join(names)}; {len(found)} failures",
        "no failure: every answer is an answer or a 4xx, every parse ends in a typed error",
        not found,
        "; ".join(f"{name}: {why}" for name, why in found.items()),
    )
