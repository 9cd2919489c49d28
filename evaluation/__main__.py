"""Command line of the evaluation: run, judge, report, table, export, train-router, papers."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evaluation import commands, export, programs
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
    for add in (_add_run, _add_judge, _add_report, _add_table, _add_export, _add_train_router, _add_papers):
        add(commands_of)
    return parser


def _add_run(commands_of: Any) -> None:
    parser = commands_of.add_parser("run", help="send the questions to a running server; run again to resume")
    parser.set_defaults(command=commands.run)
    parser.add_argument("--recipes", default="", help="comma-separated model or recipe ids")
    parser.add_argument(
        "--arms", type=Path, help="YAML file of arms: models or recipes with overrides (see docs/quality.md)"
    )
    parser.add_argument(
        "--dataset",
        action="append",
        required=True,
        metavar="|".join([*NAMED, "PATH", "KIND=PATH"]),
        help=f"repeatable; kinds: {', '.join(KINDS)}, or module:Class (docs/evaluation.md)",
    )
    parser.add_argument("--kind", metavar="KIND", help="kind of the files, if their fields leave a doubt")
    parser.add_argument(
        "--scorer", metavar="NAME", help=f"in place of the kind's own: {', '.join(SCORERS)}, or module:Class"
    )
    parser.add_argument(
        "--limit", type=at_least(1, int, 10**9), metavar="N", help="take N items of each dataset, spread over the file"
    )
    parser.add_argument("--samples", type=at_least(1, int, 1000), default=1, help="answers per item (default: 1)")
    parser.add_argument(
        "--seed",
        type=at_least(0, int, 2**63 - 1),
        help="base seed; each item and sample derives its own, the same for every arm",
    )
    parser.add_argument(
        "--max-requests",
        type=at_least(1, int, 1000),
        default=8,
        metavar="N",
        help="requests per question with tools, after which a loop of calls ends without an answer (default: 8)",
    )
    for field, kind in SAMPLING.items():
        parser.add_argument(f"--{field.replace('_', '-')}", type=kind, help="default: that of the recipe or model")
    programs.add_options(parser)
    parser.add_argument("--prices", type=Path, help="YAML file: US$ per million tokens of each model")
    parser.add_argument("--no-trace", action="store_true", help="do not ask for the trace; some servers refuse 'moa'")
    parser.add_argument("--out", type=Path, required=True, help="directory for the answers")
    _server(parser)


def _add_judge(commands_of: Any) -> None:
    parser = commands_of.add_parser("judge", help="have a served model compare or grade the answers of a run")
    parser.set_defaults(command=commands.judge)
    parser.add_argument("directory", type=Path, help="the --out of the run")
    parser.add_argument("--judge", type=name, required=True, metavar="MODEL", help="id of the judging model or recipe")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--baseline",
        type=name,
        metavar="ARM|dataset",
        help="compare every arm with this arm, or with the dataset's own answers, in both orders",
    )
    how.add_argument("--grade", action="store_true", help="rate every turn from 1 to 10")
    parser.add_argument(
        "--weighted", action="store_true", help="take the verdict from the first token's logprobs instead of from text"
    )
    parser.add_argument(
        "--max-tokens",
        type=at_least(1, int, 10_000_000),
        default=1024,
        help="limit of a written verdict (default: 1024)",
    )
    _server(parser)


def _add_report(commands_of: Any) -> None:
    parser = commands_of.add_parser("report", help="write an HTML page with tables, plots and a recommendation")
    parser.set_defaults(command=commands.report)
    parser.add_argument("directory", type=Path, help="the --out of the run")
    parser.add_argument("--out", type=Path, default=Path("build/quality.html"), help="default: build/quality.html")
    parser.add_argument(
        "--markdown", type=Path, help="also write the tables as Markdown; in an existing file, between its markers"
    )
    parser.add_argument(
        "--max-mb",
        type=at_least(1, int, 500),
        default=1,
        metavar="MB",
        help=("size of the page, to which the answers' texts are shortened (default: 1)"),
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--budget-tokens", type=COST, help="maximum mean tokens per answer")
    budget.add_argument("--budget-usd", type=COST, help="maximum mean US$ per answer")
    budget.add_argument("--budget-latency", type=COST, metavar="S", help="maximum mean seconds per answer")
    parser.add_argument("--min-accuracy", type=share, help="minimum accuracy: 0 to 1, or a percentage such as 80%%")
    parser.add_argument("--prices", type=Path, help="YAML file as for run; replaces the recorded costs")
    parser.add_argument(
        "--datasets", type=names, default=[], metavar="NAMES", help="comma-separated datasets (default: all)"
    )
    _scorer(parser)
    parser.add_argument("--judge", type=name, metavar="MODEL", help="take scores from verdicts of this judge alone")
    parser.add_argument(
        "--baseline", type=name, metavar="ARM|dataset", help="take scores from comparisons with this baseline alone"
    )
    parser.add_argument("--verdicts", choices=KINDS_OF_VERDICTS, help="take scores from verdicts of this kind alone")
    _profile(parser)


def _add_table(commands_of: Any) -> None:
    parser = commands_of.add_parser("table", help="print accuracy, cost and tool loops of chosen arms as Markdown")
    parser.set_defaults(command=commands.table)
    parser.add_argument("directory", type=Path, help="the --out of the run")
    parser.add_argument("--arms", type=names, default=[], help="comma-separated arms (default: all)")
    parser.add_argument("--prices", type=Path, help="YAML file as for run; replaces the recorded costs")
    _scorer(parser)
    _profile(parser)


def _add_export(commands_of: Any) -> None:
    parser = commands_of.add_parser("export", help="write the answers as files of alpaca_eval or FastChat")
    parser.set_defaults(command=commands.export_answers)
    parser.add_argument("directory", type=Path, help="the --out of the run")
    parser.add_argument("--format", choices=tuple(export.FORMATS), required=True, help="the program that reads them")
    parser.add_argument("--arms", type=names, default=[], help="comma-separated arms (default: all)")
    parser.add_argument("--dataset", type=name, help="the dataset (default: the run's only one)")
    parser.add_argument("--partial", action="store_true", help="leave out items without an answer")
    parser.add_argument("--out", type=Path, required=True, help="directory for the files, one per arm")


def _add_train_router(commands_of: Any) -> None:
    parser = commands_of.add_parser("train-router", help="fit a router for the 'auto' recipe to the answers of a run")
    parser.set_defaults(command=commands.train_router)
    parser.add_argument("directory", type=Path, help="the --out of the run")
    parser.add_argument("--arms", type=names, default=[], help="comma-separated arms to route between (default: all)")
    parser.add_argument(
        "--out", type=Path, required=True, help="the router file, to be named as 'classifier' in a recipe"
    )


def _add_papers(commands_of: Any) -> None:
    parser = commands_of.add_parser("papers", help="print the papers' tables as Markdown")
    parser.set_defaults(command=commands.papers)


def _scorer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scorer",
        metavar="NAME",
        help="score the stored answers with this scorer in place of the run's: f1, exact, ...",
    )


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
