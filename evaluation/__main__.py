"""Command line of the evaluation: run, judge, report, table, export, train-router, papers."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluation import commands, export
from evaluation.datasets.loading import KINDS, NAMED
from evaluation.errors import EvaluationError
from evaluation.options import name, names, share, url
from evaluation.scoring import SCORERS
from evaluation.verdict_choice import KINDS_OF_VERDICTS
from serving.command_line import CommandLine, above, at_least

SAMPLING: dict[str, Callable[[str], float]] = {
    "temperature": at_least(0, high=2),
    "top_p": above(0, 1),
    "max_tokens": at_least(1, int, 10_000_000),
}
COST = above(0, 1e15)
WEEK_S = 604_800
EXIT_CODES = """exit codes:
  0    everything that the command asked for is there
  1    some answers or verdicts failed, or no verdict can be read; the same command again asks for what is missing
  2    nothing was done, or the command ended early: a wrong option or file, no server, too many failures in a row
  130  stopped with Ctrl-C; the same command again resumes
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code, see `EXIT_CODES`."""
    options = _parser().parse_args(argv)
    try:
        return int(options.command(options))
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot use '{error.filename or 'the output'}': {error.strerror}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to resume", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(
        prog="python -m evaluation",
        description="Measure the accuracy and cost of models and recipes.",
        epilog=EXIT_CODES,
    )
    commands_of = parser.add_subparsers(required=True)

    running = commands_of.add_parser("run", help="send the questions to a running server; run again to resume")
    running.set_defaults(command=commands.run)
    running.add_argument("--recipes", default="", help="comma-separated model or recipe ids")
    running.add_argument(
        "--arms", type=Path, help="YAML file of arms: models or recipes with overrides (see docs/quality.md)"
    )
    running.add_argument(
        "--dataset",
        action="append",
        required=True,
        metavar="|".join([*NAMED, "PATH", "KIND=PATH"]),
        help=f"repeatable; kinds: {', '.join(KINDS)}, or module:Class (docs/evaluation.md)",
    )
    running.add_argument("--kind", metavar="KIND", help="kind of the files, if their fields leave a doubt")
    running.add_argument(
        "--scorer", metavar="NAME", help=f"in place of the kind's own: {', '.join(SCORERS)}, or module:Class"
    )
    running.add_argument(
        "--limit", type=at_least(1, int, 10**9), metavar="N", help="take N items of each dataset, spread over the file"
    )
    running.add_argument("--samples", type=at_least(1, int, 1000), default=1, help="answers per item (default: 1)")
    running.add_argument(
        "--seed",
        type=at_least(0, int, 2**63 - 1),
        help="base seed; each item and sample derives its own, the same for every arm",
    )
    running.add_argument(
        "--max-requests",
        type=at_least(1, int, 1000),
        default=8,
        metavar="N",
        help="requests per question with tools, after which a loop of calls ends without an answer (default: 8)",
    )
    for field, kind in SAMPLING.items():
        running.add_argument(f"--{field.replace('_', '-')}", type=kind, help="default: that of the recipe or model")
    running.add_argument("--prices", type=Path, help="YAML file: US$ per million tokens of each model")
    running.add_argument("--no-trace", action="store_true", help="do not ask for the trace; some servers refuse 'moa'")
    running.add_argument("--out", type=Path, required=True, help="directory for the answers")
    _server(running)

    judging = commands_of.add_parser("judge", help="have a served model compare or grade the answers of a run")
    judging.set_defaults(command=commands.judge)
    judging.add_argument("directory", type=Path, help="the --out of the run")
    judging.add_argument("--judge", type=name, required=True, metavar="MODEL", help="id of the judging model or recipe")
    how = judging.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--baseline",
        type=name,
        metavar="ARM|dataset",
        help="compare every arm with this arm, or with the dataset's own answers, in both orders",
    )
    how.add_argument("--grade", action="store_true", help="rate every turn from 1 to 10")
    judging.add_argument(
        "--weighted", action="store_true", help="take the verdict from the first token's logprobs instead of from text"
    )
    judging.add_argument(
        "--max-tokens",
        type=at_least(1, int, 10_000_000),
        default=1024,
        help="limit of a written verdict (default: 1024)",
    )
    _server(judging)

    reporting = commands_of.add_parser("report", help="write an HTML page with tables, plots and a recommendation")
    reporting.set_defaults(command=commands.report)
    reporting.add_argument("directory", type=Path, help="the --out of the run")
    reporting.add_argument("--out", type=Path, default=Path("build/quality.html"), help="default: build/quality.html")
    reporting.add_argument(
        "--markdown", type=Path, help="also write the tables as Markdown; in an existing file, between its markers"
    )
    reporting.add_argument(
        "--max-mb",
        type=at_least(1, int, 500),
        default=1,
        metavar="MB",
        help=("size of the page, to which the answers' texts are shortened (default: 1)"),
    )
    budget = reporting.add_mutually_exclusive_group()
    budget.add_argument("--budget-tokens", type=COST, help="maximum mean tokens per answer")
    budget.add_argument("--budget-usd", type=COST, help="maximum mean US$ per answer")
    budget.add_argument("--budget-latency", type=COST, metavar="S", help="maximum mean seconds per answer")
    reporting.add_argument("--min-accuracy", type=share, help="minimum accuracy: 0 to 1, or a percentage such as 80%%")
    reporting.add_argument("--prices", type=Path, help="YAML file as for run; replaces the recorded costs")
    reporting.add_argument(
        "--datasets", type=names, default=[], metavar="NAMES", help="comma-separated datasets (default: all)"
    )
    reporting.add_argument("--judge", type=name, metavar="MODEL", help="take scores from verdicts of this judge alone")
    reporting.add_argument(
        "--baseline", type=name, metavar="ARM|dataset", help="take scores from comparisons with this baseline alone"
    )
    reporting.add_argument("--verdicts", choices=KINDS_OF_VERDICTS, help="take scores from verdicts of this kind alone")
    _profile(reporting)

    tabling = commands_of.add_parser("table", help="print accuracy, cost and tool loops of chosen arms as Markdown")
    tabling.set_defaults(command=commands.table)
    tabling.add_argument("directory", type=Path, help="the --out of the run")
    tabling.add_argument("--arms", type=names, default=[], help="comma-separated arms (default: all)")
    tabling.add_argument("--prices", type=Path, help="YAML file as for run; replaces the recorded costs")
    _profile(tabling)

    exporting = commands_of.add_parser("export", help="write the answers as files of alpaca_eval or FastChat")
    exporting.set_defaults(command=commands.export_answers)
    exporting.add_argument("directory", type=Path, help="the --out of the run")
    exporting.add_argument("--format", choices=tuple(export.FORMATS), required=True, help="the program that reads them")
    exporting.add_argument("--arms", type=names, default=[], help="comma-separated arms (default: all)")
    exporting.add_argument("--dataset", type=name, help="the dataset (default: the run's only one)")
    exporting.add_argument("--partial", action="store_true", help="leave out items without an answer")
    exporting.add_argument("--out", type=Path, required=True, help="directory for the files, one per arm")

    routing = commands_of.add_parser("train-router", help="fit a router for the 'auto' recipe to the answers of a run")
    routing.set_defaults(command=commands.train_router)
    routing.add_argument("directory", type=Path, help="the --out of the run")
    routing.add_argument("--arms", type=names, default=[], help="comma-separated arms to route between (default: all)")
    routing.add_argument(
        "--out", type=Path, required=True, help="the router file, to be named as 'classifier' in a recipe"
    )

    showing = commands_of.add_parser("papers", help="print the papers' tables as Markdown")
    showing.set_defaults(command=commands.papers)
    return parser


def _profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile", help="profile that served the models, a name or a YAML file: adds the operations of an answer"
    )


def _server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", type=url, default="http://127.0.0.1:8000", help="the server (default: http://127.0.0.1:8000)"
    )
    parser.add_argument(
        "--api-key-env", default="MOA_API_KEY", help="environment variable of the API key (default: MOA_API_KEY)"
    )
    parser.add_argument(
        "--timeout",
        type=above(0, WEEK_S),
        default=600.0,
        metavar="S",
        help="timeout of an answer (default: 600)",
    )
    parser.add_argument(
        "--concurrency", type=at_least(1, int, 4096), default=8, help="concurrent requests (default: 8)"
    )


if __name__ == "__main__":
    sys.exit(main())
