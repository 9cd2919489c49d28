"""Sends every question to every arm and writes each answer to disk."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evaluation import scoring
from evaluation.arms import Arm
from evaluation.client import Client
from evaluation.concurrency import run_all
from evaluation.conversation import Conversation
from evaluation.datasets.loading import Dataset
from evaluation.failures import Failures, reason_of
from evaluation.items import Item
from evaluation.prices import Prices, cost_usd
from evaluation.programs import check_programs, has_programs
from evaluation.rows import NOT_SCORED, Row, row_key
from evaluation.sandbox import Sandbox, SandboxLimits
from evaluation.store import MANIFEST, Appender, keep_manifest, read_rows


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Settings of a run."""

    samples: int = 1  # answers per arm and item
    concurrency: int = 8
    sampling: Mapping[str, Any] = field(default_factory=dict)  # for every arm; an arm's own values take precedence
    seed: int | None = None  # base seed; each item and sample derives its own, the same for every arm
    max_requests: int = 8  # per user turn, while the arm calls tools
    trace: bool = True  # request the agents' texts and counts
    max_failures: int = 20  # consecutive failures of the server that end the run
    prices: Prices = field(default_factory=dict)
    programs: SandboxLimits | None = None  # of programs in answers, for the scorer `code`; None: they are refused


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to request."""

    arm: Arm
    item: Item
    sample: int

    @property
    def key(self) -> str:
        """Key of the resulting row."""
        return row_key(self.arm.name, self.item.dataset, self.item.id, self.sample)


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of answers of a run."""

    asked: int  # requested by this command
    kept: int  # answered by earlier commands
    reasons: Counter[str] = field(default_factory=Counter)  # of the failures, with their numbers

    @property
    def failed(self) -> int:
        """Requested answers that failed; the next command retries them."""
        return self.reasons.total()


def plan(arms: Sequence[Arm], datasets: Sequence[Dataset], samples: int) -> list[Job]:
    """Return all jobs, question by question, so that an interrupted run compares its arms on the same items."""
    return [
        Job(arm, item, sample)
        for dataset in datasets
        for item in dataset.items
        for sample in range(samples)
        for arm in arms
    ]


def manifest(arms: Sequence[Arm], datasets: Sequence[Dataset], settings: RunSettings) -> dict[str, Any]:
    """Return the settings that must be equal for old and new answers to be comparable."""
    with_tools = any(item.tools is not None for data in datasets for item in data.items)
    programs = settings.programs if has_programs(datasets) else None
    return {
        "dataset": {data.name: data.settings for data in datasets},
        "arm": {arm.name: arm.settings for arm in arms},
        "setting": {
            "sampling": dict(settings.sampling),
            "seed": settings.seed,
            **({"max_requests": settings.max_requests} if with_tools else {}),
            **({} if programs is None else {"programs": asdict(programs)}),
        },
    }


async def run(
    client: Client,
    arms: Sequence[Arm],
    datasets: Sequence[Dataset],
    settings: RunSettings,
    out: Path,
    progress: Callable[[Row], None] = lambda row: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> Counts:
    """Request the answers that `out` lacks, up to `settings.concurrency` at a time.

    Each answer is on disk before its worker's next request, so that an interrupted run loses no answer and the same
    command resumes it. Failed answers are recorded with their error and retried by the next command, after those that
    no command has requested yet. An exception while one item is asked or scored is that row's error.

    Raises:
        EvaluationError: The server does not have an arm's model, `out` holds answers of other settings or of another
            server, or the server failed for `settings.max_failures` consecutive answers. As `check_programs`.
    """
    await check_programs(datasets, settings.programs)
    known = await client.require(arm.model for arm in arms)
    server = {"version": await client.version(), "models": sorted(known)}  # its address may change
    keep_manifest(out / MANIFEST, {"server": server, **manifest(arms, datasets, settings)})
    sandbox = None if settings.programs is None else Sandbox(settings.programs)
    failures = Failures("answers", settings.max_failures)
    asked = 0
    with Appender(out / "rows.jsonl") as appender:
        earlier = read_rows(appender.path, Row)
        done = {row.key for row in earlier if row.done}
        failed = {row.key for row in earlier} - done
        jobs = plan(arms, datasets, settings.samples)
        missing = sorted((job for job in jobs if job.key not in done), key=lambda job: job.key in failed)
        started(len(jobs), len(jobs) - len(missing))

        async def work(job: Job) -> None:
            nonlocal asked
            row, of_server = await answer(client, job, settings, sandbox)
            appender.append(row)
            asked += 1
            progress(row)
            failures.note(row.error, f"arm '{row.arm}'", of_server=of_server)

        await run_all(missing, work, settings.concurrency)
    return Counts(asked, len(jobs) - len(missing), failures.reasons)


async def answer(client: Client, job: Job, settings: RunSettings, sandbox: Sandbox | None) -> tuple[Row, bool]:
    """Request one answer: hold the item's conversation, and score the last turn's text.

    Returns:
        The row, and True if it has an error that is the server's.
    """
    try:
        talk = Conversation(client, job.arm.model, job.item, _fields(job, settings), settings.max_requests)
        await talk.hold()
        row = _row(job, talk)
    except (Exception, SystemExit) as error:  # of a tool's backend
        return _failed(job, reason_of(error)), False
    if talk.error is not None:
        return row, True
    try:
        return await _scored(row, job.item, settings, sandbox), False
    except (Exception, SystemExit) as error:  # of a scorer, which may be the user's own
        return row.model_copy(update={"error": f"{NOT_SCORED}{reason_of(error)}"}), False


def _row(job: Job, talk: Conversation) -> Row:
    """Row of a conversation, without a score."""
    arm, item, answers = job.arm, job.item, talk.answers
    return Row(
        arm=arm.name,
        model=arm.model,
        dataset=item.dataset,
        item=item.id,
        sample=job.sample,
        skill=item.skill,
        questions=item.turns,
        answers=tuple(talk.texts),
        reference=item.answer,
        references=item.references,
        accepted=item.accepted,
        criteria=item.criteria,
        scorer=item.scorer,
        baseline=item.baseline,
        difficulty=item.difficulty,
        trace=tuple(talk.trace),
        steps=tuple(talk.steps),
        expected_first=talk.expected_first,
        degraded=any(given.degraded for given in answers),
        reasons=tuple(reason for given in answers for reason in given.reasons),
        finish_reason=answers[-1].finish_reason if answers else None,
        prompt_tokens=_sum([given.prompt_tokens for given in answers]),
        completion_tokens=_sum([given.completion_tokens for given in answers]),
        cached_tokens=_sum([given.cached_tokens for given in answers]),
        reasoning_tokens=_sum([given.reasoning_tokens for given in answers]),
        latency_s=_sum([given.latency_s for given in answers]),
        error=talk.error,
    )


async def _scored(row: Row, item: Item, settings: RunSettings, sandbox: Sandbox | None) -> Row:
    updates: dict[str, Any] = {"cost_usd": cost_usd(row, settings.prices)}
    if item.scorer is not None and item.answer is not None:
        if item.scorer == scoring.CODE and sandbox is not None:
            scored = await scoring.score_program(row.text, item.answer, sandbox)
        else:
            scored = scoring.score(item.scorer, row.text, item.answer, item.accepted)
        updates |= {"score": scored.score, "extracted": scored.extracted}
    return row.model_copy(update=updates)


def _failed(job: Job, error: str) -> Row:
    """Row of an item that could not be asked or scored: only what every item has."""
    return Row(
        arm=job.arm.name,
        model=job.arm.model,
        dataset=job.item.dataset,
        item=job.item.id,
        sample=job.sample,
        skill=str(job.item.skill),
        questions=tuple(str(turn) for turn in job.item.turns),
        scorer=job.item.scorer,
        error=error,
    )


def seed_of(job: Job, seed: int) -> int:
    """Derive a seed between 0 and 2**31 - 1 for the job's item and sample.

    With one seed for all questions, their samples would be correlated: all would draw the same random numbers.
    """
    text = f"{seed}/{job.item.dataset}/{job.item.id}/{job.sample}"
    return int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:4], "big") >> 1


def _fields(job: Job, settings: RunSettings) -> dict[str, Any]:
    fields: dict[str, Any] = {**settings.sampling, **job.arm.fields}
    if settings.seed is not None:
        fields["seed"] = seed_of(job, settings.seed)
    moa = {**job.arm.moa, **({"trace": True} if settings.trace else {})}
    return fields | ({"moa": moa} if moa else {})


def _sum(counts: Sequence[Any]) -> Any:
    """Sum the counts; `None`, not a smaller sum, if one is unknown."""
    return None if not counts or None in counts else sum(counts)
