"""The commands of the evaluation.

Those that analyse import their modules when called: SciPy, scikit-learn and Plotly take seconds to import.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evaluation import arms, export, prices, programs
from evaluation.client import Client, key_in
from evaluation.datasets.loading import load_all
from evaluation.errors import EvaluationError
from evaluation.failures import summary
from evaluation.judging import judge as judging
from evaluation.judging.verdicts import Comparison, Grade
from evaluation.progress import Bar
from evaluation.rescoring import rescored
from evaluation.rows import Row
from evaluation.runner import Counts, RunSettings
from evaluation.runner import run as run_arms
from evaluation.store import read_answers, read_arms
from evaluation.verdict_choice import VerdictChoice

if TYPE_CHECKING:
    from evaluation.analysis.compute import Parameters

SAMPLING = ("temperature", "top_p", "max_tokens")


def _client(options: argparse.Namespace) -> Client:
    return Client(options.url, api_key=key_in(options.api_key_env), timeout_s=options.timeout)


class _RowBar(Bar):
    """Progress bar of rows, labelled with their arms; its end prints the distinct reasons of failures."""

    def __init__(self, unit: str) -> None:
        super().__init__(unit)
        self._reasons: Counter[str] = Counter()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if self._reasons:
            print(summary(self._reasons), file=sys.stderr)

    def count(self, row: Row | Comparison | Grade) -> None:
        """Count a finished row."""
        if row.error is not None:
            self._reasons[row.error] += 1
        self.step(failed=not row.done, label=row.arm)


def run(options: argparse.Namespace) -> int:
    """Send the questions of datasets to arms."""
    compared = arms.from_names(options.recipes) + (arms.from_file(options.arms) if options.arms else [])
    settings = RunSettings(
        samples=options.samples,
        concurrency=options.concurrency,
        sampling={name: value for name in SAMPLING if (value := getattr(options, name)) is not None},
        seed=options.seed,
        max_requests=options.max_requests,
        trace=not options.no_trace,
        prices=prices.load(options.prices) if options.prices else {},
        programs=programs.limits_of(options),
    )
    compared = arms.checked(compared)
    if settings.seed is not None and (own := [arm.name for arm in compared if "seed" in arm.sampling]):
        raise EvaluationError(f"Arm '{own[0]}' has a seed of its own; remove it, or leave out --seed.")
    datasets = load_all(options.dataset, options.limit, options.kind, options.scorer)
    for note in (note for dataset in datasets for note in dataset.notes):
        print(f"note: {note}", file=sys.stderr)

    async def ask_all(bar: _RowBar) -> Counts:
        async with _client(options) as client:
            return await run_arms(client, compared, datasets, settings, options.out, bar.count, bar.start)

    with _RowBar("answer") as bar:
        counts = asyncio.run(ask_all(bar))
    print(f"{counts.asked} requested, {counts.failed} failed, {counts.kept} kept: {options.out}/rows.jsonl")
    return 1 if counts.failed else 0


def judge(options: argparse.Namespace) -> int:
    """Have a served model compare or grade the answers of a run."""
    rows = read_answers(options.directory)
    settings = judging.JudgeSettings(options.judge, options.concurrency, options.weighted, options.max_tokens)

    async def judge_all(bar: _RowBar) -> judging.Counts:
        async with _client(options) as client:
            await judging.check(client, settings)
            if options.grade:
                return await judging.grade(client, rows, settings, options.directory, bar.count, bar.start)
            baseline = options.baseline
            return await judging.compare(client, rows, baseline, settings, options.directory, bar.count, bar.start)

    with _RowBar("verdict") as bar:
        counts = asyncio.run(judge_all(bar))
    file = "grades.jsonl" if options.grade else "comparisons.jsonl"
    print(
        f"{counts.asked} requested, {counts.failed} failed, {counts.kept} kept,"
        f" {counts.unreadable} cannot be read: {options.directory}/{file}"
    )
    if counts.useless:
        print(f"error: no verdict of '{options.judge}' can be read; name another judge.", file=sys.stderr)
    return 1 if counts.failed or counts.useless else 0


def report(options: argparse.Namespace) -> int:
    """Write the page of a run, and print a recommendation."""
    from evaluation.report.build import Constraints, build, write_markdown

    budgets = (
        Constraints("usd", options.budget_usd, options.min_accuracy),
        Constraints("latency_s", options.budget_latency, options.min_accuracy),
        Constraints("tokens", options.budget_tokens, options.min_accuracy),
    )
    constraints = next((constraint for constraint in budgets if constraint.budget is not None), budgets[-1])
    known, parameters = _known_costs(options)
    report = build(
        options.directory,
        constraints,
        known,
        parameters,
        choice=VerdictChoice(options.judge, options.baseline, options.verdicts),
        datasets=options.datasets,
        scorer=options.scorer,
    )
    _name_unknown(report.rows, options.profile, known, parameters)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report.html(options.max_mb * 1_000_000), encoding="utf-8")
    if options.markdown:
        write_markdown(options.markdown, report.markdown())
    print(report.advice.sentence)
    print(options.out)
    return 0


def table(options: argparse.Namespace) -> int:
    """Print accuracy, cost and tool loops of chosen arms as Markdown."""
    from evaluation.analysis.compute import with_tflops
    from evaluation.report.loops import loops_table
    from evaluation.report.skills import skills_table

    rows = read_answers(options.directory)
    if options.scorer is not None:
        rows = rescored(rows, options.scorer)
    known, parameters = _known_costs(options)
    _name_unknown(rows, options.profile, known, parameters)
    if known is not None:
        rows = prices.with_costs(rows, known)
    if parameters is not None:
        rows = with_tflops(rows, parameters)
    arms = options.arms or read_arms(options.directory)
    tables = [skills_table(rows, arms), *loops_table(rows, arms)]
    print("\n".join(table.markdown() for table in tables), end="")
    return 0


def _known_costs(options: argparse.Namespace) -> "tuple[prices.Prices | None, Parameters | None]":
    """Prices of `--prices`, and parameters of the models of `--profile`."""
    from evaluation.analysis.compute import parameters_of

    known = prices.load(options.prices) if options.prices else None
    return known, None if options.profile is None else parameters_of(options.profile)


def _name_unknown(
    rows: Sequence[Row], profile: str | None, known: prices.Prices | None, parameters: "Parameters | None"
) -> None:
    """Print the models without a price, and those of which the profile does not give the size."""
    if known is not None and (missing := prices.models_without(rows, known)):
        print(f"no price for {', '.join(missing)}: the cost of their answers is unknown", file=sys.stderr)
    if parameters is not None and (missing := prices.models_without(rows, parameters)):
        shown = ", ".join(missing)
        print(f"'{profile}' gives no size of {shown}: the operations of their answers are unknown", file=sys.stderr)


def export_answers(options: argparse.Namespace) -> int:
    """Write the answers of a run as files of another program."""
    rows = read_answers(options.directory)
    arms = options.arms or [arm for arm in read_arms(options.directory) if any(row.arm == arm for row in rows)]
    written = export.export(
        rows, options.format, options.out, arms=arms, dataset=options.dataset, partial=options.partial
    )
    print("\n".join(str(path) for path in written))
    return 0


def train_router(options: argparse.Namespace) -> int:
    """Fit a router for the `auto` recipe to the answers of a run."""
    from evaluation import router

    fitted = router.train(read_answers(options.directory), options.arms)
    fitted.save(options.out)
    print(f"{fitted}\n{options.out}")
    return 0


def papers(options: argparse.Namespace) -> int:
    """Print the papers' tables."""
    from evaluation import papers

    print(papers.markdown(), end="")
    return 0
