"""Judging of a run's answers by a served model; resumable like the run itself."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from evaluation.client import AskFailed, Client
from evaluation.concurrency import run_all
from evaluation.criteria import SCALE
from evaluation.errors import EvaluationError
from evaluation.failures import Failures, reason_of
from evaluation.judging import prompts
from evaluation.judging.verdicts import WHOLE_SCALE, Comparison, Grade
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
    max_failures: int = 20  # consecutive failures of the server that end the command


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of verdicts of a command."""

    asked: int  # requested by this command
    kept: int  # given by earlier commands
    unreadable: int  # of those that did not fail and those that were kept, without a verdict in the judge's text
    reasons: Counter[str] = field(default_factory=Counter)  # of the failures, with their numbers

    @property
    def failed(self) -> int:
        """Requested verdicts that failed; the next command retries them."""
        return self.reasons.total()

    @property
    def useless(self) -> bool:
        """True if there are verdicts and none can be read."""
        return 0 < self.unreadable == self.asked - self.failed + self.kept


async def check(client: Client, settings: JudgeSettings) -> None:
    """Ask the judge one short question, before all others.

    Raises:
        EvaluationError: The server has no such model, it does not answer, or has no logprobs for weighted verdicts.
    """
    await client.require([settings.judge])
    question = prompts.pair(["Say yes."], ["yes"], ["no"], letter=True)
    fields: dict[str, Any] = {"logprobs": True, "top_logprobs": 20} if settings.weighted else {}
    try:
        answer = await client.ask(settings.judge, question, temperature=0, max_tokens=1, **fields)
    except AskFailed as failure:
        raise EvaluationError(f"The judge '{settings.judge}' does not answer: {failure}") from failure
    if settings.weighted and not answer.first_logprobs:
        raise EvaluationError(f"The judge '{settings.judge}' returns no logprobs; leave out --weighted.")


async def compare(
    client: Client,
    rows: Sequence[Row],
    baseline: str,
    settings: JudgeSettings,
    out: Path,
    progress: Callable[[Comparison], None] = lambda verdict: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> Counts:
    """Compare every arm's answers with those of `baseline` (an arm, or `DATASET_BASELINE`), in both orders.

    Raises:
        EvaluationError: No arm answered an item that the baseline answered, or the server failed for
            `settings.max_failures` consecutive verdicts.
    """
    against = _baselines(rows, baseline)
    pairs = [
        (row, against[row.dataset, row.item, row.sample])
        for row in rows
        if row.done and row.arm != baseline and (row.dataset, row.item, row.sample) in against
    ]
    if not pairs:
        arms = ", ".join(dict.fromkeys(row.arm for row in rows))
        raise EvaluationError(
            f"Nothing to compare: '{baseline}' has no answers to the items of the other arms. The arms are: {arms}."
        )

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

    return await _judge(pairs, blank, fill, out / "comparisons.jsonl", Comparison, settings, progress, started)


async def grade(
    client: Client,
    rows: Sequence[Row],
    settings: JudgeSettings,
    out: Path,
    progress: Callable[[Grade], None] = lambda verdict: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> Counts:
    """Have the judge rate every turn of every answer from 1 to 10 (MT-Bench's single answer grading).

    An answer to a question with criteria is rated by each of them, from 1 to 5 (FLASK).

    Raises:
        EvaluationError: There are no answers to grade, or the server failed for `settings.max_failures` consecutive
            verdicts.
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
            scale=SCALE if row.criteria else WHOLE_SCALE,
        )

    async def fill(job: tuple[Row, int], verdict: Grade) -> Grade:
        row, turn = job
        references = row.references or (() if row.reference is None else (row.reference,))
        if row.criteria:
            messages = prompts.grade_criteria(row.questions, row.answers[:turn], references, row.criteria)
            answer = await client.ask(settings.judge, messages, temperature=0, max_tokens=settings.max_tokens)
            return rated(verdict, answer.text, row.criteria)
        messages = prompts.grade(row.questions, row.answers[:turn], references)
        answer = await client.ask(settings.judge, messages, temperature=0, max_tokens=settings.max_tokens)
        return verdict.model_copy(update={"rating": prompts.rating(answer.text), "verdict": answer.text})

    return await _judge(turns, blank, fill, out / "grades.jsonl", Grade, settings, progress, started)


def rated(verdict: Grade, text: str, criteria: Sequence[str]) -> Grade:
    """Return `verdict` with the ratings in `text`; its rating is their mean, if every criterion has one or N/A."""
    found = prompts.ratings(text, criteria)
    given = {name: value for name, value in found.items() if value is not None}
    complete = given and len(found) == len(criteria)
    rating = fmean(given.values()) if complete else None
    return verdict.model_copy(update={"ratings": given, "rating": rating, "verdict": text})


async def _judge(
    jobs: Sequence[Any],
    blank: Callable[[Any], VerdictT],
    fill: Callable[[Any, VerdictT], Any],
    path: Path,
    kind: type[VerdictT],
    settings: JudgeSettings,
    progress: Callable[[VerdictT], None],
    started: Callable[[int, int], None],
) -> Counts:
    """Request the verdicts that `path` lacks; a failed one is recorded and retried by the next command, after others.

    An exception while one verdict is requested is that verdict's error.
    """
    failures = Failures("verdicts", settings.max_failures)
    asked = 0
    with Appender(path) as appender:
        earlier = read_rows(path, kind)
        done = {verdict.key for verdict in earlier if verdict.done}
        failed = {verdict.key for verdict in earlier} - done
        keyed = [(job, blank(job).key) for job in jobs]
        wanted = {key for _, key in keyed}
        unreadable = sum(not verdict.readable for verdict in earlier if verdict.done and verdict.key in wanted)
        missing = sorted(((job, key) for job, key in keyed if key not in done), key=lambda each: each[1] in failed)
        started(len(jobs), len(jobs) - len(missing))

        async def work(each: tuple[Any, str]) -> None:
            nonlocal asked, unreadable
            verdict, of_server = blank(each[0]), False
            try:
                verdict = await fill(each[0], verdict)
            except AskFailed as failure:
                verdict, of_server = verdict.model_copy(update={"error": str(failure)}), True
            except Exception as error:
                verdict = verdict.model_copy(update={"error": reason_of(error)})
            appender.append(verdict)
            asked += 1
            unreadable += verdict.done and not verdict.readable
            progress(verdict)
            failures.note(verdict.error, f"judge '{settings.judge}'", of_server=of_server)

        await run_all(missing, work, settings.concurrency)
    return Counts(asked, len(jobs) - len(missing), unreadable, failures.reasons)


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
