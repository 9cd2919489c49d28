"""Generation: several samples for each question, from the running server, kept as JSONL."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evaluation.client import AskFailed
from evaluation.concurrency import run_all
from evaluation.failures import Failures
from evaluation.items import Item
from evaluation.store import Appender, read_rows
from serving.replay.rebuilding import Mismatch
from training.client import TracingClient
from training.formats import asked, format_of, without_format
from training.prompts import ModelText
from training.replay import rebuilt
from training.team import Team
from training.trajectory import Trajectory, Turn, trajectory_key

Progress = Callable[[Trajectory], None]


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """Settings of the samples."""

    samples: int = 8  # for each question
    concurrency: int = 8  # requests at a time
    temperature: float = 1.0
    max_tokens: int | None = None  # of each answer; None: the recipe's own limits
    seed: int = 1  # each question and sample derives its own
    varied_formats: bool = False
    max_failures: int = 20  # consecutive failures that end the command


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to request."""

    item: Item
    sample: int

    @property
    def key(self) -> str:
        """Identity of the trajectory."""
        return trajectory_key(self.item.id, self.sample)


JobT = TypeVar("JobT", bound=Job)


def sampling_of(settings: GenerationSettings, question: str, sample: int) -> dict[str, Any]:
    """Sampling of one request. The seed depends on question and sample, so that no two draw the same numbers."""
    digest = hashlib.sha256(f"{settings.seed}/{question}/{sample}".encode()).digest()
    fields: dict[str, Any] = {"temperature": settings.temperature, "seed": int.from_bytes(digest[:4], "big") >> 1}
    return fields if settings.max_tokens is None else {**fields, "max_tokens": settings.max_tokens}


async def generate(
    client: TracingClient,
    team: Team,
    texts: Mapping[str, ModelText],
    items: Sequence[Item],
    settings: GenerationSettings,
    path: Path,
    progress: Progress = lambda trajectory: None,
    started: Callable[[int, int], None] = lambda total, kept: None,
) -> list[Trajectory]:
    """Request the samples of all questions; as `run_missing`."""
    jobs = [Job(item, sample) for item in items for sample in range(settings.samples)]

    async def work(job: Job) -> Trajectory:
        return await sampled(client, team, texts, job, settings)

    return await run_missing(jobs, work, settings, path, progress, started)


async def run_missing(
    jobs: Sequence[JobT],
    run: Callable[[JobT], Awaitable[Trajectory]],
    settings: GenerationSettings,
    path: Path,
    progress: Progress,
    started: Callable[[int, int], None],
) -> list[Trajectory]:
    """Run the jobs whose trajectories `path` lacks, and return all that it has then.

    Each trajectory is on disk before its worker's next job: an interrupted run loses none, and the same call resumes
    it. A failed one is kept with its error, and sampled again by the next call.

    Raises:
        EvaluationError: `settings.max_failures` consecutive jobs failed.
    """
    failures = Failures("answers", settings.max_failures)
    with Appender(path) as appender:
        done = {one.key for one in read_rows(path, Trajectory) if one.done}
        missing = [job for job in jobs if job.key not in done]
        started(len(jobs), len(jobs) - len(missing))

        async def work(job: JobT) -> None:
            trajectory = await run(job)
            appender.append(trajectory)
            progress(trajectory)
            failures.note(trajectory.error, f"question '{job.item.id}'", of_server=True)

        await run_all(missing, work, settings.concurrency)
    return read_trajectories(path)


def read_trajectories(path: Path) -> list[Trajectory]:
    """Read a file of trajectories in a fixed order: by question, then by sample."""
    return sorted(read_rows(path, Trajectory), key=lambda one: (one.question, one.sample))


async def sampled(
    client: TracingClient, team: Team, texts: Mapping[str, ModelText], job: Job, settings: GenerationSettings
) -> Trajectory:
    """Request one answer and rebuild its prompts; errors are in the trajectory."""
    item, name = job.item, format_of(job.sample, settings.varied_formats)
    sampling, messages = sampling_of(settings, item.id, job.sample), asked(item.turns[0], name)
    found = Trajectory(question=item.id, sample=job.sample, format=name)
    try:
        answer = await client.traced(team.recipe.id, messages, sampling)
    except AskFailed as error:
        return found.model_copy(update={"error": f"{str(error).rstrip('.')}."})
    found = found.model_copy(update={"text": answer.text, "tokens": answer.tokens})
    try:
        turns = await rebuilt(team, texts, messages, sampling, answer)
    except Mismatch as error:
        return found.model_copy(update={"unusable": str(error)})
    return with_turns(found, turns, name)


def with_turns(trajectory: Trajectory, turns: Sequence[Turn], name: str) -> Trajectory:
    """The trajectory with its turns, as they would be without the instruction of the format `name`."""
    if trajectory.tokens is None:
        return trajectory.model_copy(update={"unusable": "the number of its tokens is unknown"})
    plain = []
    for turn in turns:
        prompt = without_format(turn.prompt, name)
        if prompt is None:
            return trajectory.model_copy(update={"unusable": f"the format '{name}' stays in the prompt of a turn"})
        plain.append(turn.model_copy(update={"prompt": prompt, "prompt_tokens": None} if name else {}))
    return trajectory.model_copy(update={"turns": tuple(plain)})
