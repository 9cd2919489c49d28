"""`python -m loadtest run --host http://127.0.0.1:8000`: send load to one server and write a report.

With `--sweep` it finds the highest rate of requests within `--slo`.

Exit codes: 0: the run met its SLO, or the sweep found a rate that does; 1: it did not; 2: it could not be run, the
sweep was stopped early, or the server stopped answering during it.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest.errors import LoadError
from loadtest.progress import ProgressLine
from loadtest.sweep import options as sweep_options
from loadtest.traffic import options as load_options
from loadtest.traffic.options import Options, checked_host
from serving.command_line import CommandLine

if TYPE_CHECKING:
    from loadtest.load_run import LoadRun
    from loadtest.results.report import Result
    from loadtest.sweep.search import Search

USERS, SPAWN_PER_S = 8, 100.0  # of the closed loop


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        host = checked_host(parsed.host)
        duration_s = load_options.number("--duration", parsed.duration, least=0.1)
        options = load_options.from_arguments(parsed, duration_s, open_loop=parsed.sweep)
        search = sweep_options.search_of(parsed, options.slo)
        users, spawn_per_s = _users(parsed, open_loop=parsed.sweep or options.rate_per_s is not None)
        out = _folder(parsed.out)
        if search is not None:
            return _sweep(host, options, search, out)
        return _run(host, options, users, spawn_per_s, out)
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _users(parsed: argparse.Namespace, *, open_loop: bool) -> tuple[int, float]:
    """Users of the closed loop, and how many start per second."""
    for name, value in (("--users", parsed.users), ("--spawn-per-s", parsed.spawn_per_s)):
        if value is not None:
            load_options.number(name, value, least=1 if name == "--users" else 0.001)
            if open_loop:
                raise LoadError(f"{name} has no effect in an open loop; leave it out, or leave out --rate and --sweep.")
    return parsed.users or USERS, parsed.spawn_per_s or SPAWN_PER_S


def _folder(path: str) -> Path:
    """Create the folder for the reports, before a run that would be lost without it."""
    out = Path(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LoadError(f"The folder '{path}' of --out cannot be created: {error.strerror}.") from None
    return out


# Locust patches the standard library on import: it is imported only for a run.
def _run(host: str, options: Options, users: int, spawn_per_s: float, out: Path) -> int:
    from loadtest import headless
    from loadtest.results import html_report, report

    load = headless.run(host, options, users, spawn_per_s, ProgressLine())
    result = load.result(_settings(host, load, users))
    print(report.table(result))
    for path in report.write(result, out, html_report.render(result)):
        print(f"wrote {path}")
    return result.exit_code


def _sweep(host: str, options: Options, search: "Search", out: Path) -> int:
    from loadtest import headless
    from loadtest.results import html_report, report
    from loadtest.sweep import results, runner
    from loadtest.target import why_lost

    line = ProgressLine()
    settings: dict[str, Any] = {}

    def run(of_rate: Options) -> "Result | None":
        load = headless.run(host, of_rate, users=1, spawn_per_s=1, line=line)
        if load.stopped_early:
            return None
        found = load.result(_settings(host, load, users=1))
        settings.update(found.settings)
        report.write(found, out / f"rate-{of_rate.rate_per_s:g}", html_report.render(found))
        return found

    def lost() -> str | None:
        return why_lost(host, options.api_key)

    found = runner.sweep(options, search, settings, run, line, lost)
    settings.pop("loop", None)  # of the last rate
    settings.pop("most open requests", None)
    print(results.table(replace(found, settings=settings)))
    for path in results.write(found, out):
        print(f"wrote {path}")
    print(f"wrote the report of each rate to {out}/rate-*")
    return found.exit_code


def _settings(host: str, load: "LoadRun", users: int) -> dict[str, Any]:
    options = load.options
    return {
        "host": host,
        "model": load.target.model,
        "workload": options.workload,
        "scenarios": ", ".join(f"{name}={weight:g}" for name, weight in options.scenarios.items()),
        "loop": options.loop(users),
        "lengths": "the model's own" if options.natural else "forced",
        "most open requests": load.recorder.most_open,
        "seed": options.seed,
    }


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="python -m loadtest", description=__doc__)
    run = parser.add_subparsers(required=True, metavar="run").add_parser("run", help="send load without a web UI")
    run.add_argument("--host", help="server to load, such as http://127.0.0.1:8000; required")
    run.add_argument("--users", type=int, help=f"closed loop: number of users; default: {USERS}")
    run.add_argument(
        "--spawn-per-s", type=float, help=f"closed loop: users started per second; default: {SPAWN_PER_S:g}"
    )
    run.add_argument(
        "--duration", type=float, default=60.0, help="seconds, without the time for open requests to end; default: 60"
    )
    run.add_argument("--out", default="build/load", help="folder for the reports; default: build/load")
    load_options.add_arguments(run)
    sweep_options.add_arguments(run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
