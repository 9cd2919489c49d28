"""`python -m loadtest.torture [PART ...]`: measure what the server promises under faults, abuse and load.

Each part is measured alone and replaces its own earlier result; the report is of all parts that have one. Writes
OUT/PART.json, OUT.html and a table.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from loadtest.bench.machine import describe, sentence
from loadtest.bench.processes import run
from loadtest.errors import LoadError
from loadtest.progress import ProgressLine
from loadtest.torture import html_report
from loadtest.torture.effort import Effort
from loadtest.torture.parts import PARTS
from loadtest.torture.results import PartResult, load, text
from serving.command_line import CommandLine, above
from serving.suggestions import did_you_mean


def main(arguments: list[str] | None = None) -> int:
    """Measure; return the exit code: 0, 1 if a promise is red, 2 if a part could not run, 130 if stopped."""
    parsed = _parser().parse_args(arguments)
    if unknown := sorted(set(parsed.parts) - set(PARTS)):
        hint = did_you_mean(unknown[0], PARTS)
        print(f"error: there is no part '{unknown[0]}'; {hint}choose from {', '.join(PARTS)}.", file=sys.stderr)
        return 2
    line = ProgressLine()
    effort = Effort(parsed.short, parsed.fuzz_s, Path(parsed.out), line.show)
    chosen = parsed.parts or [name for name, part in PARTS.items() if not (parsed.short and part.needs_ray)]
    if parsed.resume:
        chosen = [name for name in chosen if not (effort.out / f"{name}.json").is_file()]
    code = 0
    for name in [] if parsed.show else chosen:
        line.say(f"{name}: {PARTS[name].title} ...")
        try:
            if not run(_measure(name, effort)):
                line.say("Stopped; the parts measured before keep their results.")
                return 130
        except LoadError as error:
            line.end()
            print(f"error: {name}: {error}", file=sys.stderr)
            code = 2
    line.end()
    results = load(effort.out, PARTS)
    page = effort.out.with_suffix(".html")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html_report.render(results))
    print(text(results))
    print(f"wrote {page}")
    if parsed.record:
        record(results, Path(parsed.record))
    measured = [row for result in results if result.part in chosen or parsed.show for row in result.rows]
    return code or int(any(row.kept is False for row in measured))


async def _measure(name: str, effort: Effort) -> None:
    began = time.monotonic()
    machine = await asyncio.to_thread(describe)
    rows = await PARTS[name].measure(effort)
    seconds = round(time.monotonic() - began, 1)
    result = PartResult(name, PARTS[name].title, tuple(rows), sentence(machine), seconds, effort.short)
    await asyncio.to_thread(result.save, effort.out)


def record(results: list[PartResult], file: Path) -> None:
    """Write all results into one file, from which docs/reliability.md is made."""
    file.write_text(json.dumps([asdict(result) for result in results], indent=2, ensure_ascii=False) + "\n")


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<12} {part.title}" for name, part in PARTS.items())
    parser = CommandLine(
        prog="python -m loadtest.torture",
        description=__doc__,
        epilog=f"parts:\n{listed}",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts to measure; default: all")
    parser.add_argument("--short", action="store_true", help="fewer repetitions; by default the parts without Ray")
    parser.add_argument("--resume", action="store_true", help="skip the parts that have a result in OUT")
    parser.add_argument("--show", action="store_true", help="measure nothing; make the report of the results in OUT")
    parser.add_argument(
        "--fuzz-s", type=above(0, 86_400), default=60.0, help="time of each fuzzer, seconds; default: 60"
    )
    parser.add_argument("--out", default="build/torture", help="folder for the results; default: build/torture")
    parser.add_argument("--record", metavar="FILE", help="also write all results into this JSON file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
