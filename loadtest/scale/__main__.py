"""`python -m loadtest.scale`: measure the capacity of the orchestrator on this machine, over scripted engines.

Holds streams open on one orchestrator replica, then measures requests/s and overhead with 1, 2 and 4 replicas. Writes
scale.json and scale.html, and prints a table.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from loadtest.bench.client import ask, session
from loadtest.bench.contenders import READY_S, plain_environment, script
from loadtest.bench.machine import describe, sentence
from loadtest.bench.processes import HOST, run, server
from loadtest.errors import LoadError
from loadtest.progress import ProgressLine
from loadtest.scale import html_report
from loadtest.scale.experiments import body, capacity, hold, idle_overhead, overhead
from loadtest.scale.process_usage import UsageMonitor
from loadtest.scale.profiling import record, shares
from loadtest.scale.results import ScaleResults
from serving.command_line import CommandLine, above, at_least
from serving.ports import free_port

OPEN_REQUESTS = 64  # in the closed loop: more than the cores can work on at once
TOKENS = 16  # per agent, in the requests/s and overhead experiments
IDLE_QUESTIONS = 50
STEADY = 0.5  # rate of the overhead experiment, as a share of one replica's requests/s
HOLD_ITL_S = 2.0
HOLD_TOKENS = 40


def main(arguments: list[str] | None = None) -> int:
    """Run the experiments; return the exit code: 0, 1 if a held stream failed, 2 if a server did not start."""
    parsed = _parser().parse_args(arguments)
    line = ProgressLine()
    out = Path(parsed.out)
    _raise_file_limit()
    machine = describe()
    settings = {
        name: getattr(parsed, name) for name in ("streams", "replicas", "seconds", "itl_s", "prefill_tokens_per_s")
    }
    results = ScaleResults(machine, settings, os.cpu_count() or 1)
    line.say(sentence(machine))
    try:
        if not run(_run(parsed, results, out / "scale-logs", line)):
            line.say("Stopped early; no results were written.")
            return 130
    except LoadError as error:
        line.end()
        print(f"error: {error}", file=sys.stderr)
        return 2
    line.end()
    out.mkdir(parents=True, exist_ok=True)
    (out / "scale.json").write_text(json.dumps(results.to_json(), indent=2) + "\n")
    (out / "scale.html").write_text(html_report.render(results))
    print(results.table())
    print(f"wrote {out / 'scale.json'} and {out / 'scale.html'}")
    return 1 if results.held is not None and results.held.answered < results.held.streams else 0


async def _run(parsed: argparse.Namespace, results: ScaleResults, logs: Path, line: ProgressLine) -> None:
    if parsed.streams:
        line.say(f"Opening {parsed.streams} streams on one orchestrator replica ...")
        async with _server(1, HOLD_ITL_S, parsed, logs / "hold.log") as (host, pid), session() as http:
            ramp_s = parsed.streams / parsed.opened_per_s
            results.held = await hold(http, host, pid, parsed.streams, ramp_s, HOLD_TOKENS, line.show)
    for replicas in parsed.replicas:
        line.say(f"Measuring with {replicas} orchestrator replica(s) ...")
        async with _server(replicas, parsed.itl_s, parsed, logs / f"{replicas}.log") as (host, pid), session() as http:
            await asyncio.gather(*(ask(http, host, body(TOKENS, TOKENS, trace=False)) for _ in range(OPEN_REQUESTS)))
            if results.idle_ms is None:
                results.idle_ms = await idle_overhead(http, host, IDLE_QUESTIONS, TOKENS)
            found = await capacity(http, host, pid, OPEN_REQUESTS, parsed.seconds, TOKENS)
            results.capacities[replicas] = found
            rate_per_s = next(iter(results.capacities.values())).requests_per_s * STEADY
            results.overheads[replicas] = await overhead(http, host, pid, rate_per_s, parsed.seconds, TOKENS)
            if parsed.profile and not results.profile:
                results.profile = await _profile(http, host, pid, parsed.seconds, logs / "orchestrator.stacks")


async def _profile(http: aiohttp.ClientSession, host: str, pid: int, seconds: float, out: Path) -> dict[str, float]:
    """Profile a replica under load, in a run of its own: sampling slows it down."""
    sampling = record(UsageMonitor(pid).pids("orchestrator")[0], seconds, out)
    await capacity(http, host, pid, OPEN_REQUESTS, seconds, TOKENS)
    await asyncio.to_thread(sampling.wait)
    return shares((await asyncio.to_thread(out.read_text)).splitlines())


@asynccontextmanager
async def _server(
    replicas: int, itl_s: float, parsed: argparse.Namespace, log: Path
) -> AsyncGenerator[tuple[str, int], None]:
    port = free_port()
    timing = [
        f"itl_s={itl_s}",
        f"prefill_tokens_per_s={parsed.prefill_tokens_per_s}",
        f"batch_slowdown={parsed.batch_slowdown}",
    ]
    command = [script("serve"), "run", "loadtest.scale.app:scale_app", f"replicas={replicas}", f"port={port}", *timing]
    host = f"http://{HOST}:{port}"
    async with server(command, plain_environment({}), log, f"{host}/ready", READY_S) as pid:
        yield host, pid


def _raise_file_limit() -> None:
    """Allow a connection per stream on both sides; servers inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="python -m loadtest.scale", description=__doc__)
    parser.add_argument(
        "--streams",
        type=at_least(0, int, 1_000_000),
        default=2000,
        help="streams to hold open at once; 0: skip; default: 2000",
    )
    parser.add_argument(
        "--opened-per-s", type=above(0, 1e6), default=60.0, help="streams opened per second; default: 60"
    )
    parser.add_argument(
        "--replicas",
        type=at_least(1, int, 1000),
        nargs="*",
        default=[1, 2, 4],
        help="orchestrator replicas to measure; default: 1 2 4",
    )
    parser.add_argument(
        "--seconds",
        type=above(0, 86_400),
        default=20.0,
        help="duration of each experiment, seconds; default: 20",
    )
    parser.add_argument(
        "--itl-s", type=at_least(0, high=60), default=0.01, help="time per token of the engines, seconds; default: 0.01"
    )
    parser.add_argument(
        "--prefill-tokens-per-s",
        type=above(0, 1e9),
        default=20_000.0,
        help="prefill speed of the engines; default: 20000",
    )
    parser.add_argument(
        "--batch-slowdown",
        type=at_least(0, high=1000),
        default=0.0,
        help="relative slowdown per concurrent request; default: 0",
    )
    parser.add_argument("--profile", action="store_true", help="also profile one orchestrator replica with py-spy")
    parser.add_argument("--out", default="build", help="folder for the results; default: build")
    return parser


if __name__ == "__main__":
    sys.exit(main())
