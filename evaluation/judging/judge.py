"""Judging of a run's answers by a served model; resumable like the run itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evaluation.client import AskFailed, Client
from evaluation.concurrency import run_all
from evaluation.errors import EvaluationError
from evaluation.judging import prompts
from evaluation.judging.verdicts import Comparison, Grade
from evaluation.rows import Row
from evaluation.store import Appender, read_rows

DATASET_BASELINE = "dataset"  # the answers that an AlpacaEval file contains
VerdictT = TypeVar("VerdictT", Comparison, Grade)


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """Settings of a judging command."""

    judge: str  # id of a served model or recipe
    concurrency: int = 8
    weighted: bool = False  # verdicts from the first token's logprobs instead of from text
    max_tokens: int = 1024  # limit of a written verdict


async def compare(
    client: Client,
    rows: Sequence[Row],
    baseline: str,
    settings: JudgeSettings,
    out: Path,
    progress: Callable[[Comparison], None] = lambda verdict: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> None:
    """Compare every arm's answers with those of `baseline` (an arm, or `DATASET_BASELINE`), in both orders.

    Raises:
        EvaluationError: No arm answered an item that the baseline answered.
    """
    against = _baselines(rows, baseline)
    pairs = [
        (row, against[row.dataset, row.item, row.sample])
        for row in rows
        if row.done and row.arm != baseline and (row.dataset, row.item, row.sample) in against
    ]
    if not pairs:
        raise EvaluationError(f"Nothing to compare: '{baseline}' has no answers to the items of the other arms.")

    def blank(pair: tuple[Row, tuple[str, ...]]) -> Comparison:
        row, other = pair
        return Comparison(
            judge=settings.judge,
            weighted=settings.weighted,
            arm=row.arm,
            baseline=baseline,
            dataset=row.dataset,
            item=row.item,
            sample=row.sample,
            skill=row.skill,
            arm_chars=len("".join(row.answers)),
            baseline_chars=len("".join(other)),
            difficulty=row.difficulty,
        )

    async def fill(pair: tuple[Row, tuple[str, ...]], verdict: Comparison) -> Comparison:
        row, other = pair
        first, written = await _preference(client, settings, row.questions, row.answers, other)
        second, written_too = await _preference(client, settings, row.questions, other, row.answers)
        orders = (first, None if second is None else 1.0 - second)
        return verdict.model_copy(update={"orders": orders, "verdicts": (written, written_too)})

    await _judge(pairs, blank, fill, out / "comparisons.jsonl", Comparison, settings.concurrency, progress, started)


async def grade(
    client: Client,
    rows: Sequence[Row],
    settings: JudgeSettings,
    out: Path,
    progress: Callable[[Grade], None] = lambda verdict: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> None:
    """Have the judge rate every turn of every answer from 1 to 10 (MT-Bench's single answer grading).

    Raises:
        EvaluationError: There are no answers to grade.
    """
    turns = [(row, turn) for row in rows if row.done for turn in range(1, len(row.answers) + 1)]
    if not turns:
        raise EvaluationError("Nothing to grade: every answer failed.")

    def blank(job: tuple[Row, int]) -> Grade:
        row, turn = job
        return Grade(
            judge=settings.judge,
            arm=row.arm,
            dataset=row.dataset,
            item=row.item,
            sample=row.sample,
            skill=row.skill,
            turn=turn,
        )

    async def fill(job: tuple[Row, int], verdict: Grade) -> Grade:
        row, turn = job
        references = row.references or (() if row.reference is None else (row.reference,))
        messages = prompts.grade(row.questions, row.answers[:turn], references)
        answer = await client.ask(settings.judge, messages, temperature=0, max_tokens=settings.max_tokens)
        return verdict.model_copy(update={"rating": prompts.rating(answer.text), "verdict": answer.text})

    await _judge(turns, blank, fill, out / "grades.jsonl", Grade, settings.concurrency, progress, started)


async def _judge(
    jobs: Sequence[Any],
    blank: Callable[[Any], VerdictT],
    fill: Callable[[Any, VerdictT], Any],
    path: Path,
    kind: type[VerdictT],
    concurrency: int,
    progress: Callable[[VerdictT], None],
    started: Callable[[int, int], None],
) -> None:
    """Request the verdicts that `path` lacks; a failed one is recorded and retried by the next command."""
    with Appender(path) as appender:
        done = {verdict.key for verdict in read_rows(path, kind) if verdict.done}
        missing = [job for job in jobs if blank(job).key not in done]
        started(len(jobs), len(jobs) - len(missing))

        async def work(job: Any) -> None:
            verdict = blank(job)
            try:
                verdict = await fill(job, verdict)
            except AskFailed as failure:
                verdict = verdict.model_copy(update={"error": str(failure)})
            appender.append(verdict)
            progress(verdict)

        await run_all(missing, work, concurrency)


def _baselines(rows: Sequence[Row], baseline: str) -> dict[tuple[str, str, int], tuple[str, ...]]:
    if baseline == DATASET_BASELINE:
        return {(row.dataset, row.item, row.sample): (row.baseline,) for row in rows if row.baseline is not None}
    return {(row.dataset, row.item, row.sample): row.answers for row in rows if row.arm == baseline and row.done}


async def _preference(
    client: Client, settings: JudgeSettings, questions: Sequence[str], first: Sequence[str], second: Sequence[str]
) -> tuple[float | None, str]:
    """Return P(first better) and the judge's text."""
    messages = prompts.pair(questions, first, second, letter=settings.weighted)
    if settings.weighted:
        answer = await client.ask(settings.judge, messages, temperature=0, max_tokens=1, logprobs=True, top_logprobs=20)
        return prompts.weighted_winner(answer.first_logprobs), answer.text
    answer = await client.ask(settings.judge, messages, temperature=0, max_tokens=settings.max_tokens)
    return prompts.winner(answer.text), answer.text
