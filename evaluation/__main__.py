"""Command line of the evaluation: run, judge, report, table, train-router, papers.

The commands that analyse import their modules when called: SciPy, scikit-learn and Plotly take seconds to import.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation import arms, prices
from evaluation.client import Client
from evaluation.datasets.loading import KINDS, NAMED, load_all
from evaluation.errors import EvaluationError
from evaluation.judging import judge
from evaluation.runner import RunSettings, run
from evaluation.store import read_answers, read_arms
from serving.command_line import CommandLine

SAMPLING = {"temperature": float, "top_p": float, "max_tokens": int}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code: 2 after an `EvaluationError`, 130 after Ctrl-C."""
    options = _parser().parse_args(argv)
    try:
        return int(options.command(options))
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to resume", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(
        prog="python -m evaluation", description="Measure the accuracy and cost of models and recipes."
    )
    commands = parser.add_subparsers(required=True)

    running = commands.add_parser("run", help="send the questions to a running server; run again to resume")
    running.set_defaults(command=_run)
    running.add_argument("--recipes", default="", help="comma-separated model or recipe ids")
    running.add_argument(
        "--arms", type=Path, help="YAML file of arms: models or recipes with overrides (see docs/quality.md)"
    )
    running.add_argument(
        "--dataset",
        action="append",
        required=True,
        metavar="|".join([*NAMED, "PATH", "KIND=PATH"]),
        help=f"repeatable; kinds: {', '.join(KINDS)}",
    )
    running.add_argument("--limit", type=int, metavar="N", help="take N items of each dataset, spread over the file")
    running.add_argument("--samples", type=int, default=1, help="answers per item (default: 1)")
    running.add_argument(
        "--seed", type=int, help="base seed; each item and sample derives its own, the same for every arm"
    )
    running.add_argument(
        "--max-requests",
        type=_positive,
        default=8,
        metavar="N",
        help="requests per question with tools, after which a loop of calls ends without an answer (default: 8)",
    )
    for name, kind in SAMPLING.items():
        running.add_argument(f"--{name.replace('_', '-')}", type=kind, help="default: that of the recipe or model")
    running.add_argument("--prices", type=Path, help="YAML file: US$ per million tokens of each model")
    running.add_argument("--no-trace", action="store_true", help="do not ask for the trace; some servers refuse 'moa'")
    running.add_argument("--out", type=Path, required=True, help="directory for the answers")
    _server(running)

    judging = commands.add_parser("judge", help="have a served model compare or grade the answers of a run")
    judging.set_defaults(command=_judge)
    judging.add_argument("directory", type=Path, help="the --out of the run")
    judging.add_argument("--judge", required=True, metavar="MODEL", help="id of the judging model or recipe")
    how = judging.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--baseline",
        metavar="ARM|dataset",
        help="compare every arm with this arm, or with the dataset's own answers, in both orders",
    )
    how.add_argument("--grade", action="store_true", help="rate every turn from 1 to 10")
    judging.add_argument(
        "--weighted", action="store_true", help="take the verdict from the first token's logprobs instead of from text"
    )
    judging.add_argument("--max-tokens", type=int, default=1024, help="limit of a written verdict (default: 1024)")
    _server(judging)

    reporting = commands.add_parser("report", help="write an HTML page with tables, plots and a recommendation")
    reporting.set_defaults(command=_report)
    reporting.add_argument("directory", type=Path, help="the --out of the run")
    reporting.add_argument("--out", type=Path, default=Path("build/quality.html"), help="default: build/quality.html")
    reporting.add_argument(
        "--markdown", type=Path, help="also write the tables as Markdown; in an existing file, between its markers"
    )
    budget = reporting.add_mutually_exclusive_group()
    budget.add_argument("--budget-tokens", type=float, help="maximum mean tokens per answer")
    budget.add_argument("--budget-usd", type=float, help="maximum mean US$ per answer")
    budget.add_argument("--budget-latency", type=float, metavar="S", help="maximum mean seconds per answer")
    reporting.add_argument("--min-accuracy", type=_share, help="minimum accuracy: 0 to 1, or a percentage such as 80%%")
    reporting.add_argument("--prices", type=Path, help="YAML file as for run; replaces the recorded costs")

    tabling = commands.add_parser("table", help="print accuracy, cost and tool loops of chosen arms as Markdown")
    tabling.set_defaults(command=_table)
    tabling.add_argument("directory", type=Path, help="the --out of the run")
    tabling.add_argument("--arms", type=_names, default=[], help="comma-separated arms (default: all)")

    routing = commands.add_parser("train-router", help="fit a router for the 'auto' recipe to the answers of a run")
    routing.set_defaults(command=_train_router)
    routing.add_argument("directory", type=Path, help="the --out of the run")
    routing.add_argument("--arms", type=_names, default=[], help="comma-separated arms to route between (default: all)")
    routing.add_argument(
        "--out", type=Path, required=True, help="the router file, to be named as 'classifier' in a recipe"
    )

    showing = commands.add_parser("papers", help="print the papers' tables as Markdown")
    showing.set_defaults(command=_papers)
    return parser


def _server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the server (default: http://127.0.0.1:8000)")
    parser.add_argument(
        "--api-key-env", default="MOA_API_KEY", help="environment variable of the API key (default: MOA_API_KEY)"
    )
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="timeout of an answer (default: 600)")
    parser.add_argument("--concurrency", type=int, default=8, help="concurrent requests (default: 8)")


def _share(text: str) -> float:
    value = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1, or between 0% and 100%")
    return value


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return int(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _client(options: argparse.Namespace) -> Client:
    return Client(options.url, api_key=os.environ.get(options.api_key_env), timeout_s=options.timeout)


class _Bar:
    """Progress bar, created once the amount of work is known."""

    def __init__(self, unit: str, label: Callable[[Any], str]) -> None:
        self._unit, self._label, self._failed = unit, label, 0
        self._bar: Any = None

    def start(self, total: int, kept: int) -> None:
        self._bar = tqdm(total=total, initial=kept, unit=self._unit, dynamic_ncols=True)

    def step(self, row: Any) -> None:
        self._failed += not row.done
        self._bar.set_postfix_str(self._label(row) + (f", {self._failed} failed" if self._failed else ""))
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _run(options: argparse.Namespace) -> int:
    compared = arms.from_names(options.recipes) + (arms.from_file(options.arms) if options.arms else [])
    settings = RunSettings(
        samples=options.samples,
        concurrency=options.concurrency,
        sampling={name: value for name in SAMPLING if (value := getattr(options, name)) is not None},
        seed=options.seed,
        max_requests=options.max_requests,
        trace=not options.no_trace,
        prices=prices.load(options.prices) if options.prices else {},
    )
    datasets = load_all(options.dataset, options.limit)
    bar = _Bar("answer", lambda row: row.arm)

    async def ask_all() -> int:
        async with _client(options) as client:
            counts = await run(client, arms.checked(compared), datasets, settings, options.out, bar.step, bar.start)
        bar.close()
        print(f"{counts.asked} requested, {counts.failed} failed, {counts.kept} kept: {options.out}/rows.jsonl")
        return 1 if counts.failed else 0

    try:
        return asyncio.run(ask_all())
    finally:
        bar.close()


def _judge(options: argparse.Namespace) -> int:
    rows = read_answers(options.directory)
    settings = judge.JudgeSettings(options.judge, options.concurrency, options.weighted, options.max_tokens)
    bar = _Bar("verdict", lambda verdict: verdict.arm)

    async def judge_all() -> int:
        async with _client(options) as client:
            if options.grade:
                await judge.grade(client, rows, settings, options.directory, bar.step, bar.start)
            else:
                await judge.compare(client, rows, options.baseline, settings, options.directory, bar.step, bar.start)
        return 0

    try:
        return asyncio.run(judge_all())
    finally:
        bar.close()


def _report(options: argparse.Namespace) -> int:
    from evaluation.report.build import Constraints, build, write_markdown

    budgets = (
        Constraints("usd", options.budget_usd, options.min_accuracy),
        Constraints("latency_s", options.budget_latency, options.min_accuracy),
        Constraints("tokens", options.budget_tokens, options.min_accuracy),
    )
    constraints = next((constraint for constraint in budgets if constraint.budget is not None), budgets[-1])
    report = build(options.directory, constraints, prices.load(options.prices) if options.prices else None)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report.html())
    if options.markdown:
        write_markdown(options.markdown, report.markdown())
    print(report.advice.sentence)
    print(options.out)
    return 0


def _table(options: argparse.Namespace) -> int:
    from evaluation.report.loops import loops_table
    from evaluation.report.skills import skills_table

    rows = read_answers(options.directory)
    arms = options.arms or read_arms(options.directory)
    tables = [skills_table(rows, arms), *loops_table(rows, arms)]
    print("\n".join(table.markdown() for table in tables), end="")
    return 0


def _train_router(options: argparse.Namespace) -> int:
    from evaluation import router

    fitted = router.train(read_answers(options.directory), options.arms)
    fitted.save(options.out)
    print(f"{fitted}\n{options.out}")
    return 0


def _papers(options: argparse.Namespace) -> int:
    from evaluation import papers

    print(papers.markdown(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
