"""`python -m loadtest.bench`: compare vLLM's servers, stock ray.serve.llm and this server on this machine.

Writes bench.json and bench.html, and prints a table of ratios. Run nothing else on the machine meanwhile.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from loadtest.bench import html_report
from loadtest.bench.contenders import NAMES
from loadtest.bench.machine import describe, sentence
from loadtest.bench.policies import DEFAULT, POLICIES
from loadtest.bench.processes import run
from loadtest.bench.results import Results
from loadtest.bench.rows import QUICK, ROUNDS, ROWS
from loadtest.bench.runner import Bench
from loadtest.bench.weights import untrained
from loadtest.errors import LoadError
from loadtest.progress import ProgressLine
from serving.command_line import CommandLine, at_least
from serving.errors import ConfigError


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 0, or 2 if a part of it failed."""
    parsed = _parser().parse_args(arguments)
    line, out = ProgressLine(), Path(parsed.out)
    results: Results | None = None
    failed = False
    try:
        rows = [row for row in (QUICK if parsed.quick else ROWS) if not parsed.rows or row.id in parsed.rows]
        if not rows:
            raise LoadError(f"There is no such row; choose one of: {', '.join(row.id for row in ROWS)}.")
        profile, path = untrained(parsed.profile, out / "bench-models")
        machine = describe()
        line.say(sentence(machine))
        if machine["load_before"] > (os.cpu_count() or 1) / 2:
            line.say("Warning: the machine is busy; measurements are repeated, at most twice, until it is quiet.")
        policies = parsed.prefill or list(dict.fromkeys(("off", DEFAULT)))
        settings = {"profile": profile.name, "quick": parsed.quick, "prefill": policies, "rounds": parsed.rounds}
        results = Results(rows, f"moa-{DEFAULT}", machine, settings)
        started = time.monotonic()
        bench = Bench(profile, path, results, policies, out / "bench-logs", line, parsed.rounds)
        if not run(bench.run(parsed.contenders or list(NAMES))):
            line.say("Stopped early.")
            failed = True
        line.end()
        if results.busy:
            line.say(f"Warning: {results.quiet()}")
        results.settings = {**settings, "took_s": round(time.monotonic() - started)}
    except (LoadError, ConfigError) as error:
        line.end()
        print(f"error: {error}", file=sys.stderr)
        failed = True
    if results is None or not results.rounds:
        return 2
    _write(results, out)
    return 2 if failed else 0


def _write(results: Results, out: Path) -> None:
    """Write all results, also those before a failure or an early stop."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(results.to_json(), indent=2) + "\n")
    (out / "bench.html").write_text(html_report.render(results))
    print(results.table())
    print(f"wrote {out / 'bench.json'} and {out / 'bench.html'}")


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="python -m loadtest.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    parser.add_argument(
        "--rows", nargs="*", metavar="ROW", help=f"rows to run: {', '.join(row.id for row in ROWS)}; default: all"
    )
    parser.add_argument("--contenders", nargs="*", choices=list(NAMES), help="servers to compare; default: all")
    parser.add_argument(
        "--rounds", type=at_least(1), default=ROUNDS, metavar="N", help=f"rounds of each row; default: {ROUNDS}"
    )
    parser.add_argument(
        "--prefill", nargs="*", choices=list(POLICIES), help=f"prefill policies of this server; default: off {DEFAULT}"
    )
    parser.add_argument(
        "--profile", default="tiny", help="profile with the models and their engine options; default: tiny"
    )
    parser.add_argument("--out", default="build", help="folder for the results; default: build")
    return parser


if __name__ == "__main__":
    sys.exit(main())
