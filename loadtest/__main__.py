"""`python -m loadtest run --host http://127.0.0.1:8000`: send load to one server and write a report.

Exit codes: 0: the run met its SLO; 1: it did not; 2: it could not be run.
"""

import argparse
import sys
from pathlib import Path

from loadtest.errors import LoadError
from loadtest.progress import ProgressLine
from loadtest.traffic import options as load_options
from loadtest.traffic.options import Options, checked_host
from serving.command_line import CommandLine


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        host = checked_host(parsed.host)
        options = load_options.from_arguments(parsed, parsed.duration)
        if parsed.duration <= 0 or parsed.users < 1 or parsed.spawn_per_s <= 0:
            raise LoadError("--duration, --users and --spawn-per-s must be positive.")
        return _run(host, options, parsed.users, parsed.spawn_per_s, Path(parsed.out))
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(host: str, options: Options, users: int, spawn_per_s: float, out: Path) -> int:
    from loadtest import headless
    from loadtest.results import (  # Locust patches the standard library on import: import it only for a run
        html_report,
        report,
    )

    load = headless.run(host, options, users, spawn_per_s, ProgressLine())
    settings = {
        "host": host,
        "model": load.target.model,
        "workload": options.workload,
        "scenarios": ", ".join(f"{name}={weight:g}" for name, weight in options.scenarios.items()),
        "loop": options.loop(users),
        "lengths": "the model's own" if options.natural else "forced",
        "most open requests": load.recorder.most_open,
        "seed": options.seed,
    }
    result = load.result(settings)
    print(report.table(result))
    for path in report.write(result, out, html_report.render(result)):
        print(f"wrote {path}")
    return 0 if result.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="python -m loadtest", description=__doc__)
    run = parser.add_subparsers(required=True, metavar="run").add_parser("run", help="send load without a web UI")
    run.add_argument("--host", help="server to load, such as http://127.0.0.1:8000; required")
    run.add_argument("--users", type=int, default=8, help="closed loop: number of users; default: 8")
    run.add_argument(
        "--spawn-per-s", type=float, default=100.0, help="closed loop: users started per second; default: 100"
    )
    run.add_argument(
        "--duration", type=float, default=60.0, help="seconds, without the time for open requests to end; default: 60"
    )
    run.add_argument("--out", default="build/load", help="folder for the reports; default: build/load")
    load_options.add_arguments(run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
