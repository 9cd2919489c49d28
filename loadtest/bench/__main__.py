"""`python -m loadtest.bench`: vLLM's own servers, stock ray.serve.llm and this server, side by side on this machine.

Writes bench.json and bench.html, and prints one table of ratios. Start nothing else meanwhile.
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
from loadtest.bench.rows import QUICK, ROWS
from loadtest.bench.runner import Bench
from loadtest.bench.weights import untrained
from loadtest.errors import LoadError
from loadtest.progress import ProgressLine
from serving.errors import ConfigError


def main(arguments: list[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    line, out = ProgressLine(), Path(parsed.out)
    results: Results | None = None
    failed = False
    try:
        rows = [row for row in (QUICK if parsed.quick else ROWS) if not parsed.rows or row.id in parsed.rows]
        if not rows:
            raise LoadError(f"No such row; choose among {', '.join(row.id for row in ROWS)}.")
        profile, path = untrained(parsed.profile, out / "bench-models")
        machine = describe()
        line.say(sentence(machine))
        if machine["load_before"] > (os.cpu_count() or 1) / 2:
            line.say("Warning: the machine is busy; what is measured now is not worth much.")
        policies = parsed.prefill or list(dict.fromkeys(("off", DEFAULT)))
        settings = {"profile": profile.name, "quick": parsed.quick, "prefill": policies}
        results = Results(rows, f"moa-{DEFAULT}", machine, settings)
        started = time.monotonic()
        bench = Bench(profile, path, results, policies, out / "bench-logs", line)
        if not run(bench.run(parsed.contenders or list(NAMES))):
            line.say("Stopped early.")
            failed = True
        line.end()
        results.settings = {**settings, "took_s": round(time.monotonic() - started)}
    except (LoadError, ConfigError) as error:
        line.end()
        print(f"error: {error}", file=sys.stderr)
        failed = True
    if results is None or not results.cells:
        return 2
    _write(results, out)
    return 2 if failed else 0


def _write(results: Results, out: Path) -> None:
    """What was measured, the rows before a failure or an early stop included."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(results.to_json(), indent=2) + "\n")
    (out / "bench.html").write_text(html_report.render(results))
    print(results.table())
    print(f"wrote {out / 'bench.json'} and {out / 'bench.html'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows, few requests")
    parser.add_argument("--rows", nargs="*", metavar="ROW", help=f"of {', '.join(row.id for row in ROWS)}")
    parser.add_argument("--contenders", nargs="*", choices=list(NAMES), help="default: all, in turn")
    parser.add_argument("--prefill", nargs="*", choices=list(POLICIES), help=f"default: off {DEFAULT}")
    parser.add_argument("--profile", default="tiny", help="whose models and engine options; default: tiny")
    parser.add_argument("--out", default="build", help="folder; default: build")
    return parser


if __name__ == "__main__":
    sys.exit(main())
